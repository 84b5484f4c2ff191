"""A language model without its head, as an encoder: every token's state, of one text after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...background import Future
from ...errors import Unprocessable
from ...ranking import Question
from ...records import Json
from ..contract import EncoderContract
from ..encoder import Encoder
from ..tokenizer import load_tokenizer
from .memory import DEFAULT_CONTEXT, room_for_texts
from .model import GRAPH, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer


class CausalEncoder(Encoder):
    """Tokenizer and graph of one prepared folder."""

    def __init__(
        self, contract: EncoderContract, prepared: Path, tokenizer: Future[Tokenizer] | None = None
    ) -> None:
        self.contract = contract
        tokenizer = tokenizer or Future(lambda: load_tokenizer(prepared)).start()
        self._model = Model(prepared, contract.max_position or DEFAULT_CONTEXT)
        self._room = room_for_texts((prepared / f"{GRAPH}.data").stat().st_size)
        self.tokenizer = tokenizer.result()

    def run(
        self,
        encodings: Sequence[Encoding],
        outputs: Sequence[str],
        rows: Mapping[str, Sequence[Sequence[int]]] | None = None,
    ) -> Iterator[tuple[int, list[NDArray[Any]]]]:
        """Yield `(index, [states])`, unpadded: a prompt's chunk fills the processors as a batch would.

        Raises Unprocessable where an input is longer than the model, or the function's memory, takes.
        """
        lengths = [len(encoding.ids) for encoding in encodings]
        self._check(lengths)
        if 0 in lengths:
            raise Unprocessable(None, "the text has no tokens, and the model none that starts a text")
        self._check_room(max(lengths, default=0))
        for index, output in enumerate(self._outputs(encodings)):
            yield index, [output]

    def _outputs(self, encodings: Sequence[Encoding]) -> Iterator[NDArray[Any]]:
        for encoding in encodings:
            yield self._model.outputs(0, encoding.ids)

    def _check_room(self, longest: int) -> None:
        if self._room is None or longest * self._model.bytes_per_token <= self._room:
            return
        most = self._room // self._model.bytes_per_token
        raise Unprocessable(
            None,
            f"the text has {longest} tokens, the function's memory holds {most}: shorten it, ask for "
            "truncation and max_length, or raise memoryMb",
        )


@dataclass(frozen=True)
class Asked:
    """Tokens of a question; overflowing: whether something of the pair is left out."""

    ids: list[int]
    overflowing: bool = False


class CausalJudge(CausalEncoder):
    """A language model that ranks: of a pair of texts the one number that its answer is worth."""

    def encode(
        self,
        texts: Sequence[str | Sequence[str]],
        *,
        max_length: int | None = None,
        side: str | None = None,
        **options: Json,
    ) -> list[Encoding]:
        """The question about each pair of `texts`; see Encoder."""
        if self._question is None:
            return super().encode(texts, max_length=max_length, side=side, **options)
        side = side or self.contract.tokenizer.truncation_side
        pairs = [(str(pair[0]), str(pair[1])) for pair in texts]
        asked: list[Any] = [
            Asked(*each) for each in self._question.tokens(pairs, max_length, side, self._split)
        ]
        return asked

    def _split(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in super().encode(texts, special_tokens=False)]

    @cached_property
    def _question(self) -> Question | None:
        rules = self.contract.ranking
        return Question(rules) if rules is not None and rules.asks else None

    def _outputs(self, encodings: Sequence[Encoding]) -> Iterator[NDArray[Any]]:
        # Documents of one query begin alike: what they share is read once.
        for encoding in encodings:
            yield self._model.read(0, encoding.ids)
