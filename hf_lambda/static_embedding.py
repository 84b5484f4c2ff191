"""Static embeddings: a vector for every token, averaged. There is no network: numpy and tokenizers do it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import deadline
from .limits import REMEDY, check_numbers
from .log import note_truncated
from .records import Json
from .sentence_embedding import (
    EmbeddingRules,
    Pooled,
    SentenceEmbedder,
    lowercasing,
    pooled,
    prompt_before,
    read_weights,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

TABLE, CONTRACT = "vectors.npy", "serving.json"
_AT_ONCE = 4096
"""Tokens whose vectors are in memory at the same time."""


class StaticEmbedding:
    """Vectors as sentence-transformers' StaticEmbedding gives them, and the modules after it."""

    def __init__(
        self,
        table: NDArray[Any],
        tokenizer: Tokenizer,
        rules: EmbeddingRules,
        weights: Mapping[str, NDArray[Any]],
    ) -> None:
        """table: (tokens, dimensions); weights: of the dense layers, as SentenceEmbedder takes them."""
        tokenizer.no_padding()
        self._table, self._tokenizer, self._rules, self._weights = table, tokenizer, rules, weights
        self._own_cut = tokenizer.truncation

    @property
    def max_tokens(self) -> int | None:
        return int(self._own_cut["max_length"]) if self._own_cut else None

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text `[1][tokens][dimensions]`; with `pooling` `[dimensions]`."""
        asked = pooled(parameters, self._rules, None)
        prompt = prompt_before(parameters, self._rules) if asked is None else asked.prompt
        tokenizer = lowercasing(self._tokenizer) if self._rules.lowercase else self._tokenizer
        encodings = self._encode(tokenizer, [prompt + text for text in inputs], parameters)
        note_truncated(sum(bool(encoding.overflowing) for encoding in encodings))
        width = self._table.shape[1]
        if asked is None or asked.rules.pooling != ("mean",):
            # Of a mean no text's vectors are all there at once.
            check_numbers(sum(len(encoding.ids) for encoding in encodings) * width, REMEDY)
        return [self._answer(encoding.ids, asked, parameters) for encoding in encodings]

    def count_tokens(self, texts: list[str]) -> int:
        return sum(len(encoding.ids) for encoding in self._encode(self._tokenizer, texts, {}))

    def _encode(
        self, tokenizer: Tokenizer, texts: Sequence[str], parameters: Mapping[str, Json]
    ) -> list[Encoding]:
        """Cut where the request says, else where the repository's own tokenizer is set to cut."""
        deadline.check()
        own = self._own_cut or {}
        side = parameters.get("truncation_side") or own.get("direction", "right")
        longest = parameters.get("max_length") or own.get("max_length")
        if parameters.get("truncation") in (False, "do_not_truncate") or longest is None:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(longest, direction=side)
        encodings: list[Encoding] = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def _answer(self, ids: list[int], asked: Pooled | None, parameters: Mapping[str, Json]) -> Json:
        if asked is None:
            states = self._vectors(ids)
            if parameters.get("normalize"):
                states = states / np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), 1e-12)
            return [states.tolist()]
        embedder = SentenceEmbedder(asked.rules, self._weights)
        if asked.rules.pooling == ("mean",) or not ids:
            return embedder.finished(self._mean(ids)).tolist()
        return embedder.vector(self._vectors(ids)).tolist()

    def _mean(self, ids: list[int]) -> NDArray[Any]:
        """Zeros of no tokens."""
        total = np.zeros(self._table.shape[1], np.float64)
        for start in range(0, len(ids), _AT_ONCE):
            deadline.check()
            total += self._vectors(ids[start : start + _AT_ONCE]).sum(axis=0, dtype=np.float64)
        return (total / max(len(ids), 1)).astype(np.float32)

    def _vectors(self, ids: list[int]) -> NDArray[Any]:
        vectors: NDArray[Any] = self._table[np.asarray(ids, np.int64)].astype(np.float32)
        return vectors


def load(prepared: Path) -> StaticEmbedding:
    """The engine of a prepared folder. The table stays on the disk: a text reads the rows of its tokens."""
    from tokenizers import Tokenizer

    rules = EmbeddingRules.from_json(json.loads((prepared / CONTRACT).read_bytes())["embedding"])
    table = np.load(prepared / TABLE, mmap_mode="r")
    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    return StaticEmbedding(table, tokenizer, rules, read_weights(rules, prepared))
