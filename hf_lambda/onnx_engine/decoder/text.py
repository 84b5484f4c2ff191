"""Tokens to text that may be shown: whole characters, nothing that may still become a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...structure import overlap

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Text:
    """The text of one generation, piece by piece."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = (), endings: Sequence[str] = ()) -> None:
        """stop: texts to end before. endings: texts to end after, with the token that completes them."""
        from tokenizers.decoders import DecodeStream

        self._tokenizer, self._stop = tokenizer, [text for text in stop if text]
        self._endings, self._tail = [text for text in endings if text], ""
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._decoded = ""
        self._held = ""
        self.stopped = False
        """Whether a text to stop at came; nothing that follows is shown."""

    def add(self, token: int) -> str:
        """What may be shown now that `token` has come."""
        self._tokens.append(token)
        piece = self._stream.step(self._tokenizer, token) or ""
        self._decoded += piece
        shown = self._shown(piece)
        if not self.stopped and self._ends(piece):
            self.stopped, shown, self._held = True, shown + self._held, ""
        return shown

    def end(self) -> str:
        """What is left when no token follows: text that was held back, and bytes that are no character."""
        if self.stopped:
            return ""
        whole = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        rest = whole[len(self._decoded) :] if whole.startswith(self._decoded) else ""
        piece = self._shown(rest)
        if self.stopped:
            return piece
        held, self._held = self._held, ""
        return piece + held

    def _ends(self, piece: str) -> bool:
        text = self._tail + piece
        self._tail = text[-max((len(ending) for ending in self._endings), default=1) :]
        return any(ending in text for ending in self._endings)

    def _shown(self, piece: str) -> str:
        if self.stopped or not self._stop:
            return "" if self.stopped else piece
        text = self._held + piece
        found = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        hold = max((overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]
