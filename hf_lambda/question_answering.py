"""Question answering, as both engines do it: windows over a long context, and the best spans in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import deadline
from .errors import BadRequest, Unprocessable
from .limits import check_numbers, check_overlap
from .records import Json

if TYPE_CHECKING:
    from tokenizers import Encoding

Floats = npt.NDArray[np.float32]


MAX_WINDOW = 384
"""Tokens of question and context read at once, where the request does not say."""
_MAX_OVERLAP = 128
_NUMBERS_OF_A_SPAN = 10
"""What an answer takes until the best are chosen, in numbers' memory."""


@dataclass(frozen=True)
class WindowSize:
    """Tokens that the model reads at once, question and special tokens included; `overlap` of two windows."""

    tokens: int
    overlap: int
    new: int
    """Of the context, in each window after the first."""


@dataclass(frozen=True)
class Window:
    """One stretch of the context as the model read it; all arrays have one value per token."""

    start_logits: Floats
    end_logits: Floats
    allowed: npt.NDArray[np.bool_]
    """Tokens of the context, and the one that stands for "no answer"."""
    encoding: Encoding
    """`tokenizers.Encoding`: knows the characters and words of each token."""
    sequence: int
    """Which of the encoding's two sequences is the context."""


def window_size(
    parameters: Mapping[str, Json], *, question_tokens: int, special_tokens: int, limit: int
) -> WindowSize:
    """`max_seq_len` and `doc_stride` of the request, or the defaults; at most `limit` tokens.

    Raises BadRequest for a stride beyond the window, Unprocessable where the question leaves no room.
    """
    tokens = min(parameters.get("max_seq_len") or MAX_WINDOW, limit)
    overlap = parameters.get("doc_stride")
    overlap = min(tokens // 2, _MAX_OVERLAP) if overlap is None else overlap
    if overlap > tokens:
        raise BadRequest("doc_stride", f"at most max_seq_len ({tokens})", str(overlap))
    if tokens - question_tokens - special_tokens <= overlap:
        raise Unprocessable(
            "question",
            f"the question has {question_tokens} tokens; with {tokens} read at once and {overlap} "
            "overlapping, that leaves no room for the context: shorten it",
        )
    check_overlap("doc_stride", overlap, tokens - question_tokens - special_tokens, tokens)
    return WindowSize(tokens, overlap, tokens - question_tokens - special_tokens - overlap)


def answers(
    windows: Sequence[Window],
    context: str,
    *,
    top_k: int = 1,
    max_answer_len: int = 15,
    handle_impossible_answer: bool = False,
    align_to_words: bool | None = None,
) -> Json:
    """The best answer `{"score", "start", "end", "answer"}`, or the best `top_k`, best first.

    start and end count characters of `context`, on word boundaries with `align_to_words`; None: where the
    context has spaces between its words. Spans of at most `max_answer_len` tokens;
    equal answers are one, with the sum of their scores. With `handle_impossible_answer` the empty answer
    competes; it is also the answer where no span has a score above 0.
    """
    align = has_spaces(context) if align_to_words is None else align_to_words
    # Several spans of tokens are one span of words: more are looked at than asked for.
    most = 2 * top_k + 10 if align else top_k
    found: dict[str, dict[str, Json]] = {}
    no_answer = 1.0
    longest = max((len(window.allowed) for window in windows), default=0)
    spans = len(windows) * min(most, longest * min(max_answer_len, longest))
    check_numbers(_NUMBERS_OF_A_SPAN * spans, "ask for a lower top_k")
    for window in windows:
        deadline.check()
        start, end = _probabilities(window, window.start_logits), _probabilities(window, window.end_logits)
        no_answer = min(no_answer, float(start[0] * end[0]))
        start[0] = end[0] = 0.0
        for first, last, score in _best(start, end, window.allowed, most, max_answer_len):
            begin, stop = _characters(window, first, last, align=align)
            answer = {"score": 0.0, "start": begin, "end": stop, "answer": context[begin:stop]}
            found.setdefault(context[begin:stop].lower(), answer)["score"] += float(score)
    ranked = list(found.values())
    if handle_impossible_answer or not ranked:
        ranked.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
    ranked = sorted(ranked, key=lambda answer: answer["score"], reverse=True)[:top_k]
    # One answer in several windows has the sum of what each makes of it.
    ranked = [{**answer, "score": min(answer["score"], 1.0)} for answer in ranked]
    return ranked[0] if len(ranked) == 1 else ranked


_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese."""
_LONG_RUN = 30
"""Characters between two spaces, on average, that no language with spaces comes near."""


def has_spaces(text: str) -> bool:
    """Whether spaces part the words of `text`."""
    words = text.split()
    letters = sum(map(len, words))
    return len(_WITHOUT_SPACES.findall(text)) <= letters / 2 and letters <= _LONG_RUN * len(words)


def _probabilities(window: Window, logits: Floats) -> Floats:
    """Softmax over the allowed tokens."""
    masked = np.where(window.allowed, logits, np.float32(-10000.0))
    exponentials = np.exp(masked - masked.max())
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float32)


def _best(
    start: Floats, end: Floats, allowed: npt.NDArray[np.bool_], most: int, max_answer_len: int
) -> list[tuple[int, int, float]]:
    """First token, last token and score of the best spans of allowed tokens, best first."""
    scores = np.tril(np.triu(np.outer(start, end)), min(max_answer_len, len(start)) - 1)
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


def _characters(window: Window, first: int, last: int, *, align: bool) -> tuple[int, int]:
    """Where the tokens `first` to `last`, or with `align` their words, begin and end in the context."""
    encoding = window.encoding
    if not align:
        return encoding.offsets[first][0], encoding.offsets[last][1]
    begin, end = encoding.token_to_word(first), encoding.token_to_word(last)
    if begin is not None and end is not None:
        left = encoding.word_to_chars(begin, window.sequence)
        right = encoding.word_to_chars(end, window.sequence)
        if left is not None and right is not None:
            return left[0], right[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]
