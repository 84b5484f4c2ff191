"""Extractive question answering, as transformers 4 had it: long contexts in overlapping windows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import BatchEncoding

from ..limits import check_windows, run_batches
from ..question_answering import MAX_WINDOW, Floats, Window, answers, window_size
from ..records import Json
from .loading import MAX_PADDED_TOKENS, load_model, load_tokenizer, max_length


class QuestionAnswering:
    def __init__(self, snapshot: Path) -> None:
        self._model = load_model(transformers.AutoModelForQuestionAnswering, snapshot)
        self._tokenizer = load_tokenizer(snapshot)
        self._limit = max_length(self._tokenizer, self._model) or MAX_WINDOW

    def __call__(self, inputs: list[dict[str, str]], **parameters: Json) -> list[Json]:
        """Per `{"question", "context"}` one `{"score", "start", "end", "answer"}`, or a list of them."""
        encoded = [self._encode(item, parameters) for item in inputs]
        rows = [row for item in encoded for row in self._rows(item)]
        lengths = [len(row["input_ids"]) for row in rows]
        logits = iter(run_batches(rows, lengths, self._infer, MAX_PADDED_TOKENS))
        return [
            answers(
                [self._window(item, row, next(logits)) for row in range(len(item["input_ids"]))],
                given["context"],
                top_k=parameters.get("top_k", 1),
                max_answer_len=parameters.get("max_answer_len", 15),
                handle_impossible_answer=parameters.get("handle_impossible_answer", False),
                align_to_words=parameters.get("align_to_words"),
            )
            for given, item in zip(inputs, encoded, strict=True)
        ]

    def _encode(self, item: Mapping[str, str], parameters: Mapping[str, Json]) -> BatchEncoding:
        """Windows over the context, each with the whole question."""
        question = self._tokenizer(item["question"], add_special_tokens=False, verbose=False)["input_ids"]
        size = window_size(
            parameters,
            question_tokens=len(question),
            special_tokens=self._tokenizer.num_special_tokens_to_add(pair=True),
            limit=self._limit,
        )
        check_windows(item["context"], size.new, size.tokens)
        pair = [item["question"], item["context"]]
        return self._tokenizer(
            *(pair if self._question_first else reversed(pair)),
            truncation="only_second" if self._question_first else "only_first",
            max_length=size.tokens,
            stride=size.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    @property
    def _question_first(self) -> bool:
        return bool(self._tokenizer.padding_side == "right")

    def _rows(self, encoded: BatchEncoding) -> list[dict[str, list[int]]]:
        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        return [{name: encoded[name][row] for name in names} for row in range(len(encoded["input_ids"]))]

    def _infer(self, rows: list[dict[str, list[int]]]) -> list[Json]:
        """Start and end logits per row, without padding."""
        batch = self._tokenizer.pad(rows, return_tensors="pt", padding_side="right")
        with torch.inference_mode():
            output = self._model(**batch)
        start, end = output.start_logits.float().numpy(), output.end_logits.float().numpy()
        lengths = [len(row["input_ids"]) for row in rows]
        return [(start[row, :length], end[row, :length]) for row, length in enumerate(lengths)]

    def _window(self, encoded: BatchEncoding, row: int, logits: tuple[Floats, Floats]) -> Window:
        context = 1 if self._question_first else 0
        allowed = np.array([sequence == context for sequence in encoded.sequence_ids(row)])
        ids = encoded["input_ids"][row]
        if self._tokenizer.cls_token_id in ids:
            # The answer "none" of models that were trained with questions that have no answer.
            allowed |= np.array(ids) == self._tokenizer.cls_token_id
        return Window(*logits, allowed, encoded[row], context)
