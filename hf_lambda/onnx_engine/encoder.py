"""One encoder: text to tokens to the graph's outputs, as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import deadline
from ..background import Future
from ..errors import Unprocessable, cannot_cut
from ..limits import batches, check_attention
from ..log import note_truncated
from .contract import EncoderContract
from .session import open_session
from .tokenizer import cleaned_up, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MAX_TOKENS = 1024
"""Padded size of a batch. DistilBERT int8 takes 0.56 ms a token for one text of 10 tokens, 0.30 for one of
128, 0.33 for sixteen of them, which also take 100 MB more."""
MAX_PADDING = 8
"""Tokens that a row is filled up with: beyond, a run of its own costs less."""


class Encoder:
    """Tokenizer and session of one prepared folder."""

    def __init__(
        self, contract: EncoderContract, prepared: Path, tokenizer: Future[Tokenizer] | None = None
    ) -> None:
        """tokenizer: the one of `prepared`, if it is on its way already."""
        self.contract = contract
        tokenizer = tokenizer or Future(lambda: load_tokenizer(prepared)).start()
        self._session = open_session(prepared / "model.onnx")
        self.tokenizer = tokenizer.result()

    def with_tokenizer(self, tokenizer: Tokenizer) -> Encoder:
        """The same session behind another `tokenizers.Tokenizer`."""
        other = copy(self)
        other.tokenizer = tokenizer
        return other

    def encode(
        self,
        texts: Sequence[str | Sequence[str]],
        *,
        max_length: int | None = None,
        strategy: str = "longest_first",
        side: str | None = None,
        stride: int = 0,
        pretokenized: bool = False,
        special_tokens: bool = True,
    ) -> list[Encoding]:
        """`tokenizers` encodings of `texts` (or pairs), cut to `max_length` tokens (None: not cut).

        side: where it is cut, "left" or "right"; None: where the tokenizer does it.
        Raises Unprocessable where the strategy leaves too much of a pair.
        """
        deadline.check()  # a megabyte of text takes a second by itself
        if max_length is None:
            self.tokenizer.no_truncation()
        else:
            side = side or self.contract.tokenizer.truncation_side
            self.tokenizer.enable_truncation(max_length, stride=stride, strategy=strategy, direction=side)
        try:
            encodings: list[Encoding] = self.tokenizer.encode_batch(
                list(texts), is_pretokenized=pretokenized, add_special_tokens=special_tokens
            )
        except Exception as error:  # tokenizers has no type of its own
            raise cannot_cut(error) or error from error
        return encodings

    def run(
        self,
        encodings: Sequence[Encoding],
        outputs: Sequence[str],
        rows: Mapping[str, Sequence[Sequence[int]]] | None = None,
    ) -> Iterator[tuple[int, list[NDArray[Any]]]]:
        """Yield `(index, [output of that input, ...])` batch by batch, longest first.

        Outputs with a sequence axis come padded: cut them to the length of the encoding.
        rows: further inputs of the graph, one list of numbers per encoding.
        Raises Unprocessable where an input is longer than the model takes.
        """
        lengths = [len(encoding.ids) for encoding in encodings]
        self._check(lengths)
        for group in batches(lengths, MAX_TOKENS, MAX_PADDING):
            feeds = self._feeds([encodings[index] for index in group], lengths[group[0]])
            for name, values in (rows or {}).items():
                feeds[name] = _padded([values[index] for index in group])
            results = self._session.run(list(outputs), feeds)
            for row, index in enumerate(group):
                yield index, [result[row] for result in results]

    def note_truncated(self, encodings: Sequence[Encoding]) -> None:
        """Say of those of `encodings` that were cut that the rest is not read."""
        note_truncated(sum(bool(encoding.overflowing) for encoding in encodings))

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Text of the tokens `ids`."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=skip_special)
        return cleaned_up(text) if self.contract.tokenizer.cleanup else text

    def joined(self, tokens: list[str]) -> str:
        """Text of tokens that are given as the vocabulary has them."""
        decoder = self.tokenizer.decoder
        return str(decoder.decode(tokens)) if decoder is not None else " ".join(tokens)

    def limit(self, truncation: bool | str | None, max_length: int | None) -> int | None:
        """Tokens to cut to, for transformers' parameters `truncation` and `max_length`."""
        if truncation in (None, False, "do_not_truncate"):
            return None
        known = [n for n in (max_length or self.contract.max_length, self.contract.max_position) if n]
        return min(known, default=None)

    def _check(self, lengths: Sequence[int]) -> None:
        most, longest = self.contract.max_position, max(lengths, default=0)
        if most is not None and longest > most:
            raise Unprocessable(
                None,
                f"the text has {longest} tokens, the model takes {most}: shorten it or ask for truncation",
            )
        check_attention(longest, None)

    def _feeds(self, encodings: Sequence[Encoding], width: int) -> dict[str, NDArray[np.int64]]:
        shape = (len(encodings), width)
        feeds = {name: np.zeros(shape, np.int64) for name in self.contract.inputs}
        pad_id = self.contract.tokenizer.pad_id or 0
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            feeds["input_ids"][row, :length] = encoding.ids
            if length < width:
                feeds["input_ids"][row, length:] = np.resize(_filling(encoding, pad_id), width - length)
            feeds["attention_mask"][row, :length] = encoding.attention_mask
            if "token_type_ids" in feeds:
                feeds["token_type_ids"][row, :length] = encoding.type_ids
        return feeds


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[Any] = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    shares: NDArray[Any] = 1.0 / (1.0 + np.exp(-logits))
    return shares


def _filling(encoding: Encoding, pad_id: int) -> list[int]:
    """Ids to fill a row up with: the text's own, over and over.

    No token looks at them, but int8 has one scale for all activations of a batch, and those of padding
    tokens, which no training ever shaped, reach far.
    """
    pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [token for token, is_special in pairs if not is_special] or [pad_id]


def _padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """(rows, longest), zeros where a row is shorter."""
    table = np.zeros((len(rows), max(len(row) for row in rows)), np.int64)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    return table
