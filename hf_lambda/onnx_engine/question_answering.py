"""question-answering: the stretch of a context that answers a question; long contexts in windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadRequest, Unprocessable
from ..parameters import parameters_of
from ..spans import Window, answers
from .encoder import Encoder
from .parameters import merged

_PARAMETERS = parameters_of("question-answering")
MAX_WINDOW = 384
"""Tokens of question and context read at once, where the request does not say."""
MAX_OVERLAP = 128


class QuestionAnswering:
    """Answers as transformers 4's `QuestionAnsweringPipeline` gave them."""

    def __init__(self, encoder: Encoder, options: Mapping[str, Any]) -> None:
        self._encoder, self._options = encoder, options
        self._question_first = encoder.contract.tokenizer.padding_side == "right"

    def __call__(self, inputs: list[dict[str, str]], **parameters: Any) -> list[Any]:
        """Per `{"question", "context"}` `{"score", "start", "end", "answer"}`, or a list of them."""
        chosen = merged(self._options, parameters, _PARAMETERS)
        windows = [
            (item, window) for item, given in enumerate(inputs) for window in self._windows(given, chosen)
        ]
        read: list[list[Window]] = [[] for _ in inputs]
        logits: list[Any] = [None] * len(windows)
        encodings = [window for _, window in windows]
        for index, (start, end) in self._encoder.run(encodings, ["start_logits", "end_logits"]):
            length = len(encodings[index].ids)
            logits[index] = start[:length], end[:length]
        for (item, window), (start, end) in zip(windows, logits, strict=True):
            read[item].append(self._window(window, start, end))
        return [
            answers(
                read[item],
                given["context"],
                top_k=chosen.get("top_k", 1),
                max_answer_len=chosen.get("max_answer_len", 15),
                handle_impossible_answer=bool(chosen.get("handle_impossible_answer")),
            )
            for item, given in enumerate(inputs)
        ]

    def _windows(self, given: Mapping[str, str], chosen: Mapping[str, Any]) -> list[Any]:
        """Encodings that cover the context, each with the whole question.

        Raises Unprocessable where the question leaves no room.
        """
        limit = self._encoder.limit(True, None) or MAX_WINDOW
        most = min(chosen.get("max_seq_len") or MAX_WINDOW, limit)
        overlap = chosen.get("doc_stride")
        overlap = min(most // 2, MAX_OVERLAP) if overlap is None else overlap
        if overlap > most:
            raise BadRequest("doc_stride", f"at most max_seq_len ({most})", str(overlap))
        question, context = given["question"], given["context"]
        length = len(self._encoder.encode([question], special_tokens=False)[0].ids)
        room = most - length - self._encoder.tokenizer.num_special_tokens_to_add(True)
        if room <= overlap:
            raise Unprocessable(
                "question",
                f"the question has {length} tokens; with {most} read at once and {overlap} overlapping, "
                "that leaves no room for the context: shorten it",
            )
        encoding = self._encoder.encode(
            [(question, context) if self._question_first else (context, question)],
            max_length=most,
            strategy="only_second" if self._question_first else "only_first",
            stride=overlap,
        )[0]
        return [encoding, *encoding.overflowing]

    def _window(self, encoding: Any, start: Any, end: Any) -> Window:
        context = 1 if self._question_first else 0
        allowed = np.array([sequence == context for sequence in encoding.sequence_ids])
        # The answer "none" of models that were trained with questions that have no answer.
        allowed |= np.array(encoding.ids) == self._encoder.contract.tokenizer.cls_id
        return Window(start, end, allowed, encoding, context)
