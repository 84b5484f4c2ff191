"""text-ranking: documents by how well they answer a query, with a cross-encoder or a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..ranking import OLD, Pair, not_a_ranker, rank, scores
from ..records import Json
from ..sentence_embedding import lowercasing
from .encoder import Encoder

if TYPE_CHECKING:
    from tokenizers import Encoding


class TextRanking:
    """Scores as sentence-transformers' CrossEncoder gives them."""

    def __init__(self, encoder: Encoder) -> None:
        """Raises UntrainedHead for a model that ranks nothing."""
        contract = encoder.contract
        if contract.ranking is None:
            raise not_a_ranker(contract.ranking_problem or OLD)
        self._encoder, self._rules = encoder, contract.ranking

    def __call__(self, inputs: list[dict[str, Json]], **parameters: Json) -> list[Json]:
        """inputs: `{"query", "documents"}`; for each `[{"index", "score"}]`, best first."""
        return rank(inputs, lambda pairs: self._scores(pairs, parameters), parameters)

    @property
    def max_tokens(self) -> int | None:
        contract = self._encoder.contract
        return self._rules.limit({}, contract.max_length, contract.max_position)

    def _scores(self, pairs: Sequence[Pair], parameters: Mapping[str, Json]) -> list[float]:
        encodings = self._encode(pairs, parameters)
        self._encoder.note_truncated(encodings)
        logits = np.empty(len(pairs), np.float32)
        for index, (row,) in self._encoder.run(encodings, ["logits"]):
            logits[index] = row[0]
        return scores(logits, self._rules, parameters.get("function_to_apply"))

    def _encode(self, pairs: Sequence[Pair], parameters: Mapping[str, Json]) -> list[Encoding]:
        encoder = self._lower if self._rules.texts.lowercase else self._encoder
        limit = self._rules.limit(parameters, encoder.contract.max_length, encoder.contract.max_position)
        before = "" if self._rules.asks else self._rules.prompt  # a question has a place of its own for it
        texts = [(before + query, document) for query, document in pairs]
        return encoder.encode(texts, max_length=limit, side=parameters.get("truncation_side"))

    def count_tokens(self, pairs: Sequence[Pair]) -> int:
        """How many are read of `pairs`, where nothing else is asked for."""
        return sum(len(encoding.ids) for encoding in self._encode(pairs, {}))

    @cached_property
    def _lower(self) -> Encoder:
        """The same model behind a tokenizer that reads texts in lower case."""
        return self._encoder.with_tokenizer(lowercasing(self._encoder.tokenizer))
