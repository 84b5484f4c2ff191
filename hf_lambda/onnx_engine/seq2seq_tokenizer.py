"""Text to the encoder's tokens and generated tokens to text, as transformers' tokenizers do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..log import note_truncated
from .contract import Seq2SeqContract, SurroundingTokens
from .tokenizer import cleaned_up

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_HIDDEN = "\x00"
"""Marks pieces that text cannot become (see warmup/prepare/seq2seq/tokenizer.py)."""


class Seq2SeqTokenizer:
    """The tokenizer of an encoder-decoder model, with the rules that its own file cannot say."""

    def __init__(self, tokenizer: Tokenizer, contract: Seq2SeqContract) -> None:
        self._tokenizer, self._contract, self._rules = tokenizer, contract, contract.text
        self._unknown = contract.unk_id or 0  # every vocabulary with a `size` has one

    def encode(
        self, texts: Sequence[str], *, language: str | None = None, most: int | None = None
    ) -> list[list[int]]:
        """Ids with the special tokens around them, cut to `most` (None: not cut)."""
        around = self._rules.default if language is None else self._rules.languages[language]
        prefix, suffix = around.prefix, around.suffix
        codes, plain = zip(*(self._leading_code(text) for text in texts), strict=True) if texts else ((), ())
        encodings = self._tokenizer.encode_batch(list(plain), add_special_tokens=False)
        results, cut = [], 0
        for code, encoding in zip(codes, encodings, strict=True):
            ids = code + self._ids(encoding)
            if most is not None:
                room = max(0, most - len(prefix) - len(suffix))
                cut += len(ids) > room
                is_left = self._contract.truncation_side == "left"
                ids = ids[max(0, len(ids) - room) :] if is_left else ids[:room]
            results.append([*prefix, *ids, *suffix])
        note_truncated(cut)
        return results

    def decode(self, ids: Sequence[int], *, cleanup: bool = False) -> str:
        size, unknown = self._rules.size, self._unknown
        known = ids if size is None else [index if index < size else unknown for index in ids]
        text: str = self._tokenizer.decode(list(known), skip_special_tokens=True)
        if size is not None:
            text = text.strip()
        return cleaned_up(text) if cleanup and self._rules.can_clean_up else text

    @property
    def languages(self) -> Mapping[str, SurroundingTokens]:
        """Code -> what goes around a text of that language; empty for a model that has no languages."""
        return self._rules.languages

    def _ids(self, encoding: Encoding) -> list[int]:
        ids: list[int] = encoding.ids
        size, unknown = self._rules.size, self._unknown
        if size is None:
            return ids
        if self._rules.surface and unknown in ids:
            ids = [
                self._hidden(token) if index == unknown else index
                for index, token in zip(ids, encoding.tokens, strict=True)
            ]
        return [index if index < size else unknown for index in ids]

    def _leading_code(self, text: str) -> tuple[list[int], str]:
        """Marian's ">>fr<<" in front of a text is one token, not pieces."""
        end = text.find("<<") if self._rules.leading_code and text.startswith(">>") else -1
        if end < 0:
            return [], text
        return [self._hidden(text[: end + 2])], text[end + 2 :]

    def _hidden(self, piece: str) -> int:
        found: int | None = self._tokenizer.token_to_id(_HIDDEN + piece)
        return self._unknown if found is None else found
