"""Whisper's tokens as text and segments, those of overlapping stretches joined as transformers joins them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...records import Json
from ..tokenizer import cleaned_up
from .contract import WhisperRules

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WINDOW = 1500
"""Timestamps of one window: what time goes on by where a window ended with a single one."""
_STAMP = re.compile(r"<\|\d+\.\d+\|>")


@dataclass(frozen=True)
class Overlap:
    """Seconds of a stretch, and how many of them at its ends it shares with its neighbours."""

    length: float
    left: float
    right: float


@dataclass(frozen=True)
class Heard:
    """The tokens of one stretch; no overlap where it is all there is."""

    tokens: list[int]
    overlap: Overlap | None = None


def transcript(
    parts: Sequence[Heard],
    rules: WhisperRules,
    tokenizer: Tokenizer,
    *,
    timestamps: bool,
    language: bool,
) -> dict[str, Json]:
    """`text`, and `chunks` where timestamps or the language are asked for."""
    reader = _Reader(rules, tokenizer, timestamps)
    for part in parts:
        reader.read(part)
    segments = reader.finished()
    answer: dict[str, Json] = {"text": "".join(segment.text for segment in segments)}
    if timestamps or language:
        answer["chunks"] = [
            {
                **({"language": segment.language} if language else {}),
                **({"timestamp": [segment.start, segment.end]} if timestamps else {}),
                "text": segment.text,
            }
            for segment in segments
        ]
    return answer


@dataclass
class _Segment:
    language: str | None
    start: float | None = None
    end: float | None = None
    text: str = ""


@dataclass
class _Clock:
    """Time within one stretch: timestamps begin anew with every window that the model heard."""

    before: float = 0.0
    """Of the windows before this one, all together."""
    last: float = 0.0
    last_but_one: float = 0.0

    def read(self, stamp: float, *, was_single: bool, window: float) -> float:
        """Seconds since the stretch began. was_single: whether the window before ended with one timestamp."""
        if stamp < self.last:
            if was_single:
                self.before += window
            else:
                self.last = self.last_but_one
                self.before += self.last_but_one
        self.last_but_one, self.last = self.last, stamp
        return self.before


@dataclass
class _Reader:
    rules: WhisperRules
    tokenizer: Tokenizer
    timestamps: bool
    done: list[_Segment] = field(default_factory=list)
    pending: list[list[int]] = field(default_factory=list)
    """Text of the segment at hand, by the stretches that it was heard in."""
    language: str | None = None
    offset: float = 0.0
    is_skipping: bool = False

    def __post_init__(self) -> None:
        self.segment = _Segment(None)

    def read(self, part: Heard) -> None:
        tokens, first = self._without_prompt(part.tokens), self.rules.first_timestamp
        begin: float = first
        last_shared: int | None = None
        if (overlap := part.overlap) is not None:
            self.offset -= overlap.left
            if overlap.left:
                begin = overlap.left / self.rules.seconds + first
            if overlap.right:
                last_shared = self._first_shared(tokens, overlap.length - overlap.right)
        clock = _Clock()
        text: list[int] = []
        for place, token in enumerate(tokens):
            if token in self.rules.special_ids:
                text = self._special(token, text)
            elif token >= first:
                stamps = tokens[max(0, place - 2) : place]
                was_single = place >= 2 and not all(each >= first for each in stamps)
                before = clock.read(
                    (token - first) * self.rules.seconds,
                    was_single=was_single,
                    window=self.rules.seconds * _WINDOW,
                )
                at = round((token - first) * self.rules.seconds + self.offset + before, 2)
                text = self._stamp(token, at, text, begin=begin, last_shared=last_shared)
            else:
                text.append(token)
        if overlap is not None:
            self.offset += overlap.length - overlap.right
        if text:
            self.pending.append(text)
        elif not any(self.pending):
            self._begin()

    def finished(self) -> list[_Segment]:
        if self.pending:
            self._end()
        return self.done

    def _special(self, token: int, text: list[int]) -> list[int]:
        """A token of a language ends what was said in another one; the others say nothing."""
        spoken = self.rules.spoken.get(token)
        if spoken is None:
            return text
        if self.language and spoken != self.language and not self.timestamps:
            self.pending.append(text)
            self._end()
            text = []
        self.segment.language = self.language = spoken
        return text

    def _stamp(
        self, token: int, at: float, text: list[int], *, begin: float, last_shared: int | None
    ) -> list[int]:
        """A timestamp starts a segment or ends it; pairs of them where stretches overlap do neither."""
        if last_shared and token >= last_shared:
            self.is_skipping = True
        elif self.is_skipping or (self.pending and token < begin):
            self.is_skipping = False
        elif self.segment.start is None:
            self.segment.start = at
        elif at != self.segment.start:
            self.segment.end = at
            self.pending.append(text)
            self._end()
            return []
        return text

    def _first_shared(self, tokens: Sequence[int], until: float) -> int | None:
        """The first timestamp after `until` seconds, which the next stretch hears too; at least the last."""
        found = None
        for token in reversed(tokens):
            if token < self.rules.first_timestamp:
                continue
            if found is not None and (token - self.rules.first_timestamp) * self.rules.seconds < until:
                break
            found = token
        return found

    def _end(self) -> None:
        self.segment.text = self._decoded(joined(self.pending))
        self.done.append(self.segment)
        self._begin()

    def _begin(self) -> None:
        self.segment, self.pending = _Segment(self.language), []

    def _decoded(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=False)
        return _STAMP.sub("", cleaned_up(text) if self.rules.cleanup else text)

    def _without_prompt(self, tokens: list[int]) -> list[int]:
        if not tokens or tokens[0] != self.rules.previous_id:
            return tokens
        start = self.rules.start_id
        return tokens[tokens.index(start) :] if start in tokens else []


def joined(sequences: Sequence[list[int]]) -> list[int]:
    """One sequence of several that overlap: each goes over into the next in the middle of what matches."""
    left, total = sequences[0], []
    for right in sequences[1:]:
        best, middle = 0.0, (len(left), 0)
        for shift in range(1, len(left) + len(right)):
            left_start, left_stop = max(0, len(left) - shift), min(len(left), len(left) + len(right) - shift)
            right_start, right_stop = max(0, shift - len(left)), min(len(right), shift)
            same = np.array(left[left_start:left_stop]) == np.array(right[right_start:right_stop])
            matches = int(np.sum(same))
            score = matches / shift + shift / 10000.0  # of equals the longer one
            if matches > 1 and score > best:
                best, middle = score, ((left_start + left_stop) // 2, (right_start + right_stop) // 2)
        total += left[: middle[0]]
        left = right[middle[1] :]
    return total + left
