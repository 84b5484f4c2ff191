"""feature-extraction: texts as vectors, one per token or one per text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ..limits import REMEDY, check_numbers
from ..records import Json
from ..sentence_embedding import (
    EmbeddingRules,
    Pooled,
    SentenceEmbedder,
    lowercasing,
    pooled,
    prompt_before,
    prompt_tokens,
)
from .encoder import Encoder

_OLD = "it was prepared before this was known; warm it again"


class FeatureExtraction:
    """Hidden states as transformers' `FeatureExtractionPipeline` gives them, or what is pooled of them."""

    def __init__(self, encoder: Encoder, weights: Mapping[str, Json] | None = None) -> None:
        """weights: of the repository's dense layers, where it has any."""
        self._encoder, self._weights = encoder, weights or {}

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text `[1][tokens][dimensions]`; with `pooling` `[dimensions]`.

        `normalize` makes every vector one of length 1.
        """
        contract = self._encoder.contract
        problem = contract.embedding_problem or (None if contract.embedding else _OLD)
        asked = pooled(parameters, contract.embedding, problem)
        if asked is not None:
            return self._vectors(inputs, asked)
        limit = self._encoder.limit(parameters.get("truncation"), parameters.get("max_length"))
        side = parameters.get("truncation_side")
        prompt = prompt_before(parameters, contract.embedding)
        encodings = self._encoder.encode([prompt + text for text in inputs], max_length=limit, side=side)
        self._encoder.note_truncated(encodings)
        tokens = sum(len(encoding.ids) for encoding in encodings)
        results: list[Any] = [None] * len(inputs)
        for index, (hidden,) in self._encoder.run(encodings, ["last_hidden_state"]):
            states = hidden[: len(encodings[index].ids)]
            check_numbers(tokens * states.shape[-1], REMEDY)
            if parameters.get("normalize"):
                norms = np.linalg.norm(states, axis=-1, keepdims=True)
                states = states / np.maximum(norms, 1e-12)
            results[index] = [states.tolist()]
        return results

    @property
    def max_tokens(self) -> int | None:
        contract = self._encoder.contract
        rules = contract.embedding or EmbeddingRules()
        known = rules.max_length or contract.max_length
        return min((length for length in (known, contract.max_position) if length), default=None)

    def count_tokens(self, texts: list[str]) -> int:
        return sum(len(encoding.ids) for encoding in self._encoder.encode(texts))

    def _vectors(self, inputs: list[str], asked: Pooled) -> list[Json]:
        encoder = self._lower if asked.rules.lowercase else self._encoder
        limit = asked.limit(encoder.contract.max_length, encoder.contract.max_position)
        texts = [asked.prompt + text for text in inputs]
        encodings = encoder.encode(texts, max_length=limit, side=asked.side)
        encoder.note_truncated(encodings)
        before = 0
        if asked.counts_prompt:
            ids = encoder.encode([asked.prompt], max_length=limit)[0].ids
            before = prompt_tokens(ids, encoder.contract.tokenizer.special_ids)
        embedder = SentenceEmbedder(asked.rules, self._weights)
        results: list[Any] = [None] * len(inputs)
        for index, (hidden,) in encoder.run(encodings, ["last_hidden_state"]):
            states = hidden[: len(encodings[index].ids)]
            results[index] = embedder.vector(states, before).tolist()
        return results

    @cached_property
    def _lower(self) -> Encoder:
        """The same model behind a tokenizer that reads texts in lower case."""
        return self._encoder.with_tokenizer(lowercasing(self._encoder.tokenizer))
