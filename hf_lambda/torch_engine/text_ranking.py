"""Documents by how well they answer a query, with a cross-encoder or a language model of transformers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
import transformers
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..limits import run_batches
from ..log import note_truncated
from ..ranking import Pair, Question, RankingRules, not_a_ranker, rank, read_rules, scores, with_tokenizer
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


def of_tokenizer(rules: RankingRules, tokenizer: PreTrainedTokenizerBase) -> RankingRules:
    """`rules` with what the tokenizer says of asking. Raises NotUnderstood."""

    def token_id(text: str) -> int | None:
        found = tokenizer.convert_tokens_to_ids(text)
        return found if isinstance(found, int) and found != tokenizer.unk_token_id else None

    return with_tokenizer(rules, tokenizer.chat_template, dict(tokenizer.special_tokens_map), token_id)


class TextRanking:
    """Scores as sentence-transformers' CrossEncoder gives them."""

    def __init__(self, snapshot: Path) -> None:
        """Raises UntrainedHead for a model that ranks nothing."""
        try:
            rules = read_rules(snapshot)
            self._tokenizer = load_tokenizer(snapshot)
            self._rules = of_tokenizer(rules, self._tokenizer)
        except NotUnderstood as problem:
            raise not_a_ranker(str(problem)) from problem
        auto_class = (
            transformers.AutoModelForCausalLM
            if rules.judge
            else transformers.AutoModelForSequenceClassification
        )
        self._model = load_model(auto_class, snapshot)
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
        rows = self._questions(pairs, parameters) if self._rules.asks else self._joined(pairs, parameters)
        lengths = [len(row["input_ids"]) for row in rows]
        remedy = "shorten it, or ask for truncation"
        check_length(lengths, self._max_position, remedy=remedy, heads=heads_of(self._model))
        logits = torch.stack(run_batches(rows, lengths, self._infer, MAX_PADDED_TOKENS))
        return scores(logits.numpy(), self._rules, parameters.get("function_to_apply"))

    def count_tokens(self, pairs: Sequence[Pair]) -> int:
        """How many are read of `pairs`, where nothing else is asked for."""
        most = self._limit({})
        if self._rules.asks:
            return sum(len(ids) for ids, _ in self._question.tokens(pairs, most, "right", self._split))
        encoded = self._encode(pairs, {}, truncation=most is not None, max_length=most)
        return sum(map(len, encoded["input_ids"]))

    def _limit(self, parameters: Mapping[str, Json]) -> int | None:
        known = self._tokenizer.model_max_length
        return self._rules.limit(parameters, known if known < NO_LIMIT else None, self._max_position)

    def _joined(self, pairs: Sequence[Pair], parameters: Mapping[str, Json]) -> list[dict[str, list[int]]]:
        encoded = encoded_to(self._limit(parameters), lambda **cut: self._encode(pairs, parameters, **cut))
        return [{name: encoded[name][row] for name in encoded} for row in range(len(pairs))]

    def _questions(self, pairs: Sequence[Pair], parameters: Mapping[str, Json]) -> list[dict[str, list[int]]]:
        side = parameters.get("truncation_side") or self._tokenizer.truncation_side
        asked = self._question.tokens(pairs, self._limit(parameters), side, self._split)
        note_truncated(sum(is_cut for _, is_cut in asked))
        return [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids, _ in asked]

    def _split(self, texts: list[str]) -> list[list[int]]:
        return list(self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"])

    @cached_property
    def _question(self) -> Question:
        return Question(self._rules)

    def _encode(self, pairs: Sequence[Pair], parameters: Mapping[str, Json], **cut: Json) -> BatchEncoding:
        queries = [self._rules.prompt + query for query, _ in pairs]
        documents = [document for _, document in pairs]
        with cut_at(self._tokenizer, parameters.get("truncation_side")):
            return self._tokenizer(queries, documents, verbose=False, **cut)

    def _infer(self, rows: list[dict[str, list[int]]]) -> list[torch.Tensor]:
        """The model's one output for each of `rows`."""
        if self._tokenizer.pad_token_id is None:
            return [self._logits({name: torch.tensor([row[name]]) for name in row})[0] for row in rows]
        # What comes after a judge's last token changes nothing of it.
        side = "right" if self._rules.judge else None
        return list(self._logits(dict(self._tokenizer.pad(rows, return_tensors="pt", padding_side=side))))

    def _logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            if self._rules.judge:
                return self._answers(batch, self._rules.judge.tokens)
            logits: torch.Tensor = self._model(**batch).logits.float()[:, 0]
        return logits

    def _answers(self, batch: dict[str, torch.Tensor], tokens: Sequence[int]) -> torch.Tensor:
        """By how much each row goes on with the first of `tokens` rather than with the second."""
        mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
        ends = mask.sum(dim=-1) - 1
        last, place = torch.unique(ends, return_inverse=True)
        keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        kept = {"logits_to_keep": last} if keeps else {}
        logits = self._model(**batch, **kept, use_cache=False).logits
        said: torch.Tensor = logits[torch.arange(len(mask)), place if keeps else ends][
            :, list(tokens)
        ].float()
        return said[:, 0] - said[:, 1] if len(tokens) > 1 else said[:, 0]
