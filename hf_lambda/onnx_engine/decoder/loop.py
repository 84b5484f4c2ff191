"""The decoding loop: rows of text that grow token by token until each has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...grammar import Held
from ..generation.processors import Processor, processors_for
from .model import Floats, Ids, Model
from .options import Generation
from .sampling import draw


class Row:
    """One text: its tokens so far, and how it chooses the next one."""

    def __init__(
        self,
        prompt: Sequence[int],
        generation: Generation,
        seed: Sequence[int] | None,
        held: Held | None = None,
    ) -> None:
        """seed: None draws anew at every call. held: to a structure."""
        options = generation.options
        self._ids = np.empty((1, options.max_length), np.int64)
        self._ids[0, : len(prompt)] = prompt
        self._length = self._prompt = len(prompt)
        self._generation = generation
        self._random = np.random.default_rng(seed) if options.do_sample else None
        self._chain = _chain(generation, prompt)
        self._eos = frozenset(options.eos_token_id)
        self._held = held
        self.finish: str | None = None
        """Why it ended: "stop" (an end token, a stop text) or "length"; None: it has not."""

    @property
    def tokens(self) -> list[int]:
        """What was generated, the end token included."""
        generated: list[int] = self._ids[0, self._prompt : self._length].tolist()
        return generated

    @property
    def last(self) -> int:
        return int(self._ids[0, self._length - 1])

    def choose(self, scores: Floats) -> int:
        """Append the next token for `scores` (vocabulary), which this may change."""
        scores = scores[None]
        with np.errstate(invalid="ignore"):  # what is forbidden scores -inf, and stays so
            for process in self._chain:
                scores = process(self._ids[:, : self._length], scores, _FIRST_ROW)
            if self._held is not None:
                self._held.restrict(scores[0])
        if self._random is None:
            token = int(scores[0].argmax())
        else:
            token = draw(scores[0], self._generation.options, self._random)
        self._ids[0, self._length] = token
        self._length += 1
        if self._held is not None and token not in self._eos:
            self._held.take(token)
        if token in self._eos or (self._held is not None and self._held.is_whole):
            self.finish = "stop"
        elif self._length >= self._generation.options.max_length:
            self.finish = "length"
        return token


def decode(model: Model, prompts: Sequence[Sequence[int]], rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """(index of the row, its next token), until every row has a `finish`; setting one ends that row.

    Row i starts from `prompts[i]`; equal prompts in succession are read once.
    """
    model.make_rows(len(rows))
    first: list[Floats] = []
    for index, prompt in enumerate(prompts):
        if index and list(prompt) == list(prompts[index - 1]):
            model.copy(index - 1, index)
            first.append(first[-1])
        else:
            first.append(model.read(index, prompt))
    for index, row in enumerate(rows):
        yield index, row.choose(first[index].copy())
    active = list(range(len(rows)))  # which row each row of the model is
    while any(row.finish is None for row in rows):
        active = _without_finished(model, rows, active)
        scores = model.step([rows[index].last for index in active])
        for place, index in enumerate(active):
            if rows[index].finish is None:
                yield index, rows[index].choose(scores[place])


def _without_finished(model: Model, rows: Sequence[Row], active: list[int]) -> list[int]:
    """Let go of rows that have ended, once they are half of what the model computes."""
    going = [place for place, index in enumerate(active) if rows[index].finish is None]
    if 2 * len(going) > len(active):
        return active
    model.rearrange(going)
    return [active[place] for place in going]


_FIRST_ROW: Ids = np.zeros(1, np.int64)


def _chain(generation: Generation, prompt: Sequence[int]) -> list[Processor]:
    chain = processors_for(generation.options, [prompt])
    if generation.frequency_penalty or generation.presence_penalty:
        chain.append(_repeated(len(prompt), generation.frequency_penalty, generation.presence_penalty))
    return chain


def _repeated(prompt: int, frequency: float, presence: float) -> Processor:
    def process(ids: Ids, scores: Floats, inputs: Ids) -> Floats:
        tokens, counts = np.unique(ids[0, prompt:], return_counts=True)
        scores[0, tokens] -= (frequency * counts + presence).astype(np.float32)
        return scores

    return process
