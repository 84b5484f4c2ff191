"""From start and end logits to answers: the best spans over all windows of a context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """One stretch of the context as the model read it; all arrays have one value per token."""

    start_logits: Floats
    end_logits: Floats
    allowed: npt.NDArray[np.bool_]
    """Tokens of the context, and the one that stands for "no answer"."""
    encoding: Any
    """`tokenizers.Encoding`: knows the characters and words of each token."""
    sequence: int
    """Which of the encoding's two sequences is the context."""


def answers(
    windows: Sequence[Window],
    context: str,
    *,
    top_k: int = 1,
    max_answer_len: int = 15,
    handle_impossible_answer: bool = False,
) -> Any:
    """The best answer `{"score", "start", "end", "answer"}`, or the best `top_k`, best first.

    start and end count characters of `context`, on word boundaries. Spans of at most `max_answer_len` tokens;
    equal answers are one, with the sum of their scores. With `handle_impossible_answer` the empty answer
    competes; it is also the answer where no span has a score above 0.
    """
    found: dict[str, dict[str, Any]] = {}
    no_answer = 1.0
    for window in windows:
        start, end = _probabilities(window, window.start_logits), _probabilities(window, window.end_logits)
        no_answer = min(no_answer, float(start[0] * end[0]))
        start[0] = end[0] = 0.0
        # Several spans of tokens are one span of words: more are looked at than asked for.
        for first, last, score in _best(start, end, window.allowed, 2 * top_k + 10, max_answer_len):
            begin, stop = _characters(window, first, last)
            answer = {"score": 0.0, "start": begin, "end": stop, "answer": context[begin:stop]}
            found.setdefault(context[begin:stop].lower(), answer)["score"] += float(score)
    ranked = list(found.values())
    if handle_impossible_answer or not ranked:
        ranked.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
    ranked = sorted(ranked, key=lambda answer: answer["score"], reverse=True)[:top_k]
    return ranked[0] if len(ranked) == 1 else ranked


def _probabilities(window: Window, logits: Floats) -> Floats:
    """Softmax over the allowed tokens."""
    masked = np.where(window.allowed, logits, np.float32(-10000.0))
    exponentials = np.exp(masked - masked.max())
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float32)


def _best(
    start: Floats, end: Floats, allowed: npt.NDArray[np.bool_], most: int, max_answer_len: int
) -> list[tuple[int, int, float]]:
    """First token, last token and score of the best spans of allowed tokens, best first."""
    scores = np.tril(np.triu(np.outer(start, end)), max_answer_len - 1)
    flat = scores.ravel()
    if len(flat) > most:
        best = np.argpartition(-flat, most)[:most]
        best = best[np.argsort(-flat[best], kind="stable")]
    else:
        best = np.argsort(-flat, kind="stable")
    rows, columns = np.unravel_index(best, scores.shape)
    return [
        (int(row), int(column), float(scores[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if allowed[row]
        and allowed[column]
        and scores[row, column] > 0  # 0: ends before it begins, or too long
    ]


def _characters(window: Window, first: int, last: int) -> tuple[int, int]:
    """Where the words of the tokens `first` to `last` begin and end in the context."""
    encoding = window.encoding
    begin, end = encoding.token_to_word(first), encoding.token_to_word(last)
    if begin is not None and end is not None:
        left = encoding.word_to_chars(begin, window.sequence)
        right = encoding.word_to_chars(end, window.sequence)
        if left is not None and right is not None:
            return left[0], right[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]
