"""Texts as vectors: one per token, or one per text with `pooling`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
import transformers
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..limits import REMEDY, check_numbers, run_batches
from ..parameters import truncates
from ..records import Json
from ..sentence_embedding import (
    EmbeddingRules,
    NotUnderstood,
    Pooled,
    SentenceEmbedder,
    lowercasing,
    pooled,
    prompt_before,
    prompt_tokens,
    read_rules,
    read_text_rules,
)
from .loading import (
    MAX_PADDED_TOKENS,
    NO_LIMIT,
    check_length,
    cut_at,
    dense_weights,
    encoded_to,
    heads_of,
    load_model,
    load_tokenizer,
    max_length,
    max_position,
)


class FeatureExtraction:
    def __init__(self, snapshot: Path) -> None:
        self._model, self._tokenizer = load_model(transformers.AutoModel, snapshot), load_tokenizer(snapshot)
        self._max_position = max_position(self._model)
        self._rules, self._weights, self._problem = _embedding(snapshot)

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text `[1][tokens][dimensions]`, as transformers gives it; with `pooling` `[dimensions]`."""
        if (asked := pooled(parameters, self._rules, self._problem)) is not None:
            return self._vectors(inputs, asked)
        known = (parameters.get("max_length"), max_length(self._tokenizer, self._model))
        most = min((length for length in known if length), default=None) if truncates(parameters) else None
        prompt = prompt_before(parameters, self._rules)
        with cut_at(self._tokenizer, parameters.get("truncation_side")):
            encoded = self._encode(self._tokenizer, [prompt + text for text in inputs], most)
        tokens = sum(map(len, encoded["input_ids"]))
        check_numbers(tokens * int(getattr(self._model.config, "hidden_size", 1)), REMEDY)

        def each(states: torch.Tensor) -> Json:
            return [_normalized(states, parameters.get("normalize")).tolist()]

        return self._run(encoded, each)

    @property
    def max_tokens(self) -> int | None:
        rules = self._rules or EmbeddingRules()
        known = (rules.max_length, max_length(self._tokenizer, self._model))
        return min((length for length in known if length), default=None)

    def count_tokens(self, texts: list[str]) -> int:
        return sum(map(len, self._tokenizer(texts, verbose=False)["input_ids"]))

    def _vectors(self, inputs: list[str], asked: Pooled) -> list[Json]:
        tokenizer = self._lower if asked.rules.lowercase else self._tokenizer
        known = tokenizer.model_max_length
        limit = asked.limit(known if known < NO_LIMIT else None, self._max_position)
        with cut_at(tokenizer, asked.side):
            encoded = self._encode(tokenizer, [asked.prompt + text for text in inputs], limit)
        before = 0
        if asked.counts_prompt:
            ids = self._encode(tokenizer, [asked.prompt], limit)["input_ids"][0]
            before = prompt_tokens(ids, tokenizer.all_special_ids)
        embedder = SentenceEmbedder(asked.rules, self._weights)
        return self._run(encoded, lambda states: embedder.vector(states.numpy(), before).tolist())

    def _encode(
        self, tokenizer: PreTrainedTokenizerBase, texts: list[str], limit: int | None
    ) -> BatchEncoding:
        return encoded_to(limit, lambda **cut: tokenizer(texts, verbose=False, **cut))

    def _run(self, encoded: BatchEncoding, each: Callable[[torch.Tensor], Json]) -> list[Json]:
        """`each` of the states of every text, (tokens, dimensions) without padding."""
        lengths = [len(ids) for ids in encoded["input_ids"]]
        remedy = "shorten it, or ask for truncation"
        check_length(lengths, self._max_position, remedy=remedy, heads=heads_of(self._model))
        rows = [{name: encoded[name][row] for name in encoded} for row in range(len(lengths))]

        def run(group: list[dict[str, list[int]]]) -> list[Json]:
            return [each(states) for batch in self._padded(group) for states in self._states(batch)]

        return run_batches(rows, lengths, run, MAX_PADDED_TOKENS)

    def _padded(self, rows: list[dict[str, list[int]]]) -> list[dict[str, torch.Tensor]]:
        if self._tokenizer.pad_token_id is None:
            return [{name: torch.tensor([row[name]]) for name in row} for row in rows]
        return [dict(self._tokenizer.pad(rows, return_tensors="pt"))]

    def _states(self, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            states = self._model(**batch)[0].float()
        mask = batch["attention_mask"].bool()
        return [row[kept] for row, kept in zip(states, mask, strict=True)]

    @cached_property
    def _lower(self) -> PreTrainedTokenizerBase:
        """The tokenizer, reading texts in lower case."""
        lower = copy.deepcopy(self._tokenizer)
        lower.backend_tokenizer.normalizer = lowercasing(self._tokenizer.backend_tokenizer).normalizer
        return lower


def _embedding(snapshot: Path) -> tuple[EmbeddingRules | None, dict[str, Json], str | None]:
    """Rules and weights of the repository, and why they are not all there is."""
    try:
        rules = read_rules(snapshot)
        return rules, dense_weights(snapshot, rules), None
    except NotUnderstood as problem:
        try:
            return read_text_rules(snapshot), {}, str(problem)
        except NotUnderstood:
            return None, {}, str(problem)


def _normalized(states: torch.Tensor, normalize: bool | None) -> torch.Tensor:
    return torch.nn.functional.normalize(states, dim=-1) if normalize else states
