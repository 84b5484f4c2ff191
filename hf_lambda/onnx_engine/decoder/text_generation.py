"""text-generation without torch, in the shapes of transformers' pipeline, whole or piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...background import Future
from ...completion import Completion, Generated, together, with_answer
from ...engines import Input
from ...errors import BadRequest, Unprocessable
from ...grammar import Grammars, Held
from ...records import Json
from ...structure import STRUCTURE, Structure, structure_of
from ..contract import DecoderContract
from ..tokenizer import load_tokenizer
from .chat import Template
from .loop import Row, decode
from .memory import context_of, room_for_texts
from .model import GRAPH, Model
from .options import Generation, generation_of
from .text import Text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_ROWS = 8
"""Texts that grow side by side: more of them make no token cheaper."""
_CACHE_SHARE = 0.25
"""Of the function's memory that keys and values of all rows may take."""
_CACHE_MB = 512
"""The same where nobody says how much memory there is."""
_TEXT = ("return_full_text", "tools", "documents", "chat_template_kwargs", *STRUCTURE)


def load(contract: DecoderContract, prepared: Path, *, max_context: int | None = None) -> TextGeneration:
    """The engine over the folder `prepared`. max_context: tokens of prompt and answer that fit."""
    tokenizer = Future(lambda: load_tokenizer(prepared)).start()
    most = contract.max_position
    if max_context is not None and max_context > most:
        text = f"max_context={max_context}: the model holds at most {most} tokens"
        raise Unprocessable("max_context", text)
    model = Model(prepared, context_of(contract, max_context))
    weights = (prepared / f"{GRAPH}.data").stat().st_size
    return TextGeneration(contract, tokenizer.result(), model, room_for_texts(weights))


class TextGeneration:
    def __init__(
        self, contract: DecoderContract, tokenizer: Tokenizer, model: Model, room: int | None = None
    ) -> None:
        """room: bytes that keys and values may take; None: nobody says."""
        self._contract, self._tokenizer, self._model, self._room = contract, tokenizer, model, room
        self._template = Template(contract.chat_template, contract.special_tokens)
        ends = contract.generation.get("eos_token_id")
        eos = ends if isinstance(ends, list) else [] if ends is None else [ends]
        self._grammars = Grammars(lambda: tokenizer, contract.vocabulary, eos)

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per input a list of `num_return_sequences` dicts with "generated_text"."""
        prompts = [self._asked(item, parameters) for item in inputs]
        full = parameters.get("return_full_text", True)
        return [
            [{"generated_text": with_answer(item, one.text) if full else one.text} for one in generated]
            for item, generated in zip(inputs, self._generate(prompts), strict=True)
        ]

    def complete_each(self, items: list[Input], **parameters: Json) -> list[Completion]:
        """The generations of each input, in pieces or whole; those that are run whole grow side by side."""
        prompts = [self._asked(item, parameters) for item in items]
        runs = together(len(prompts), lambda: self._generate(prompts))
        return [
            Completion(len(prompt.tokens), run, partial(self._pieces, prompt), prompt.structure)
            for prompt, run in zip(prompts, runs, strict=True)
        ]

    def count_tokens(self, texts: list[str]) -> int:
        return sum(len(encoding.ids) for encoding in self._tokenizer.encode_batch(texts))

    def reads(self, name: str) -> bool:
        """Whether the model's chat template mentions `name`, for instance tools."""
        return self._template.reads(name)

    def _asked(self, item: Input, chosen: Mapping[str, Json]) -> _Prompt:
        prompt = self._prompt(item, chosen)
        asked = {name: value for name, value in chosen.items() if name not in _TEXT}
        generation = generation_of(
            self._contract.generation,
            asked,
            len(prompt),
            context=self._model.context,
            vocabulary=self._contract.vocabulary,
        )
        self._check_room(len(prompt), generation.options.max_length)
        structure = structure_of(chosen, self.reads)
        held = None if structure is None else self._grammars.hold(structure)
        return _Prompt(prompt, generation, structure, held)

    def _check_room(self, prompt: int, length: int) -> None:
        """Raises Unprocessable where the function has not the memory for one text of `length` tokens."""
        if self._room is None:
            return
        # What side by side may take is there in any case: the estimate of the weights is a careful one.
        most = max(self._room, _share_bytes()) // self._model.bytes_per_token
        if length > most:
            raise Unprocessable(
                None,
                f"the prompt has {prompt} tokens and may grow to {length}, the function's memory holds {most}"
                ": shorten it, ask for fewer new tokens, or raise memoryMb",
            )

    def _prompt(self, item: Input, chosen: Mapping[str, Json]) -> list[int]:
        if isinstance(item, str):
            for name in ("tools", "documents", "chat_template_kwargs"):
                if chosen.get(name):
                    raise BadRequest(name, "chat messages beside it, not a text", "a text")
            ids: list[int] = self._tokenizer.encode(item).ids
        else:
            text = self._template.render(
                item,
                tools=chosen.get("tools"),
                documents=chosen.get("documents"),
                variables=chosen.get("chat_template_kwargs"),
            )
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids and self._contract.bos_id is not None:
            ids = [self._contract.bos_id]
        if not ids:
            raise Unprocessable(None, "the prompt has no tokens, and the model none that starts a text")
        return ids

    def _generate(self, prompts: Sequence[_Prompt]) -> list[list[Generated]]:
        """Every text of every prompt, as many side by side as there is memory for."""
        texts = [(prompt, index) for prompt in prompts for index in range(prompt.count)]
        made: list[Generated] = []
        size = self._rows(prompts)
        for start in range(0, len(texts), size):
            made += self._side_by_side(texts[start : start + size])
        self._model.keep_rows(1)
        each = iter(made)
        return [list(islice(each, prompt.count)) for prompt in prompts]

    def _rows(self, prompts: Sequence[_Prompt]) -> int:
        """How many texts grow side by side: as many as the memory holds keys and values of."""
        longest = max((prompt.generation.options.max_length for prompt in prompts), default=1)
        return max(1, min(MAX_ROWS, _share_bytes() // (longest * self._model.bytes_per_token)))

    def _side_by_side(self, group: Sequence[tuple[_Prompt, int]]) -> list[Generated]:
        rows = [prompt.row(index) for prompt, index in group]
        texts = [prompt.text(self._tokenizer) for prompt, _ in group]
        shown = [""] * len(group)
        for at, token in decode(self._model, [prompt.tokens for prompt, _ in group], rows):
            shown[at] += _show(rows[at], texts[at], token)
        return [
            _generated(row, begun + _rest(row, text))
            for row, text, begun in zip(rows, texts, shown, strict=True)
        ]

    def _pieces(self, prompt: _Prompt, ended: list[Generated]) -> Iterator[str]:
        row, text = prompt.row(0), prompt.text(self._tokenizer)
        shown = ""
        for _, token in decode(self._model, [prompt.tokens], [row]):
            if piece := _show(row, text, token):
                shown += piece
                yield piece
        rest = _rest(row, text)
        ended.append(_generated(row, shown + rest))
        if rest:
            yield rest


def _share_bytes() -> int:
    """What keys and values of all rows may take."""
    memory_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return int((int(memory_mb) << 20) * _CACHE_SHARE) if memory_mb.isdecimal() else _CACHE_MB << 20


@dataclass(frozen=True)
class _Prompt:
    """Tokens to go on from, and what is asked for."""

    tokens: list[int]
    generation: Generation
    structure: Structure | None = None
    held: Held | None = None

    @property
    def count(self) -> int:
        return self.generation.options.num_return_sequences

    def text(self, tokenizer: Tokenizer) -> Text:
        return Text(tokenizer, self.generation.stop, self.generation.endings)

    def row(self, index: int) -> Row:
        seed = self.generation.options.seed
        held = self.held and self.held.again()
        return Row(self.tokens, self.generation, None if seed is None else [seed, index], held)


def _generated(row: Row, text: str) -> Generated:
    return Generated(text, row.finish or "stop", len(row.tokens))


def _show(row: Row, text: Text, token: int) -> str:
    """What `token` adds to the text that is shown; ends the row at a stop text."""
    return _stopping(row, text, text.add(token))


def _rest(row: Row, text: Text) -> str:
    """What is left to show of a text that has ended; a stop text may be in it, too."""
    return _stopping(row, text, text.end())


def _stopping(row: Row, text: Text, piece: str) -> str:
    if text.stopped:
        row.finish = "stop"
    return piece
