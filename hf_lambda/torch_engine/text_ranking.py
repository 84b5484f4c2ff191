"""Documents by how well they answer a query, with a cross-encoder of transformers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers
from transformers import BatchEncoding

from ..batches import run_batches
from ..ranking import Pair, not_a_ranker, rank, read_rules, scores
from ..records import Json
from ..sentence_embedding import NotUnderstood, lowercasing
from .loading import (
    MAX_PADDED_TOKENS,
    NO_LIMIT,
    check_length,
    cut_at,
    encoded_to,
    heads_of,
    load_model,
    load_tokenizer,
    max_position,
)


class TextRanking:
    """Scores as sentence-transformers' CrossEncoder gives them."""

    def __init__(self, snapshot: Path) -> None:
        """Raises UntrainedHead for a model that ranks nothing."""
        try:
            self._rules = read_rules(snapshot)
        except NotUnderstood as problem:
            raise not_a_ranker(str(problem)) from problem
        self._model = load_model(transformers.AutoModelForSequenceClassification, snapshot)
        self._tokenizer = load_tokenizer(snapshot)
        if self._rules.texts.lowercase:
            self._tokenizer = copy.deepcopy(self._tokenizer)
            lower = lowercasing(self._tokenizer.backend_tokenizer)
            self._tokenizer.backend_tokenizer.normalizer = lower.normalizer
        self._max_position = max_position(self._model)

    def __call__(self, inputs: list[dict[str, Json]], **parameters: Json) -> list[Json]:
        """inputs: `{"query", "documents"}`; for each `[{"index", "score"}]`, best first."""
        return rank(inputs, lambda pairs: self._scores(pairs, parameters), parameters)

    @property
    def max_tokens(self) -> int | None:
        return self._limit({})

    def _scores(self, pairs: Sequence[Pair], parameters: Mapping[str, Json]) -> list[float]:
        encoded = encoded_to(self._limit(parameters), lambda **cut: self._encode(pairs, parameters, **cut))
        lengths = [len(ids) for ids in encoded["input_ids"]]
        remedy = "shorten it, or ask for truncation"
        check_length(lengths, self._max_position, remedy=remedy, heads=heads_of(self._model))
        rows = [{name: encoded[name][row] for name in encoded} for row in range(len(lengths))]
        logits = torch.stack(run_batches(rows, lengths, self._infer, MAX_PADDED_TOKENS))
        return scores(logits.numpy(), self._rules, parameters.get("function_to_apply"))

    def count_tokens(self, pairs: Sequence[Pair]) -> int:
        """How many are read of `pairs`, where nothing else is asked for."""
        most = self._limit({})
        encoded = self._encode(pairs, {}, truncation=most is not None, max_length=most)
        return sum(map(len, encoded["input_ids"]))

    def _limit(self, parameters: Mapping[str, Json]) -> int | None:
        known = self._tokenizer.model_max_length
        return self._rules.limit(parameters, known if known < NO_LIMIT else None, self._max_position)

    def _encode(self, pairs: Sequence[Pair], parameters: Mapping[str, Json], **cut: Json) -> BatchEncoding:
        queries = [self._rules.prompt + query for query, _ in pairs]
        documents = [document for _, document in pairs]
        with cut_at(self._tokenizer, parameters.get("truncation_side")):
            return self._tokenizer(queries, documents, verbose=False, **cut)

    def _infer(self, rows: list[dict[str, list[int]]]) -> list[torch.Tensor]:
        """The model's one output for each of `rows`."""
        if self._tokenizer.pad_token_id is None:
            return [self._logits({name: torch.tensor([row[name]]) for name in row})[0] for row in rows]
        return list(self._logits(dict(self._tokenizer.pad(rows, return_tensors="pt"))))

    def _logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(**batch).logits.float()[:, 0]
        return logits
