"""question-answering: the stretch of a context that answers a question; long contexts in windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..limits import check_windows
from ..question_answering import MAX_WINDOW, Window, answers, window_size
from ..records import Json
from .encoder import Encoder

if TYPE_CHECKING:
    from tokenizers import Encoding

    from ..question_answering import Floats


class QuestionAnswering:
    """Answers as transformers 4's `QuestionAnsweringPipeline` gave them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._question_first = encoder.contract.tokenizer.padding_side == "right"

    def __call__(self, inputs: list[dict[str, str]], **parameters: Json) -> list[Json]:
        """Per `{"question", "context"}` `{"score", "start", "end", "answer"}`, or a list of them."""
        windows = [
            (item, window) for item, given in enumerate(inputs) for window in self._windows(given, parameters)
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
                top_k=parameters.get("top_k", 1),
                max_answer_len=parameters.get("max_answer_len", 15),
                handle_impossible_answer=bool(parameters.get("handle_impossible_answer")),
                align_to_words=parameters.get("align_to_words"),
            )
            for item, given in enumerate(inputs)
        ]

    def _windows(self, given: Mapping[str, str], parameters: Mapping[str, Json]) -> list[Encoding]:
        """Encodings that cover the context, each with the whole question."""
        question, context = given["question"], given["context"]
        size = window_size(
            parameters,
            question_tokens=len(self._encoder.encode([question], special_tokens=False)[0].ids),
            special_tokens=self._encoder.tokenizer.num_special_tokens_to_add(True),
            limit=self._encoder.limit(True, None) or MAX_WINDOW,
        )
        check_windows(context, size.new, size.tokens)
        encoding = self._encoder.encode(
            [(question, context) if self._question_first else (context, question)],
            max_length=size.tokens,
            strategy="only_second" if self._question_first else "only_first",
            stride=size.overlap,
        )[0]
        return [encoding, *encoding.overflowing]

    def _window(self, encoding: Encoding, start: Floats, end: Floats) -> Window:
        context = 1 if self._question_first else 0
        allowed = np.array([sequence == context for sequence in encoding.sequence_ids])
        # The answer "none" of models that were trained with questions that have no answer.
        allowed |= np.array(encoding.ids) == self._encoder.contract.tokenizer.cls_id
        return Window(start, end, allowed, encoding, context)
