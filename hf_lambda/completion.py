"""One prompt's generations: what an engine makes of them, whole or piece by piece. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from .log import Stopwatch
from .records import Json
from .structure import Structure


@dataclass(frozen=True)
class Generated:
    """One text, why it ended ("stop": by itself, "length": it was cut) and of how many tokens it is."""

    text: str
    finish: str
    tokens: int


class Completion:
    """Generations of one prompt; nothing is computed before `pieces` is read or `run` called."""

    def __init__(
        self,
        prompt_tokens: int,
        run: Callable[[], list[Generated]],
        stream: Callable[[list[Generated]], Iterator[str]],
        structure: Structure | None = None,
    ) -> None:
        """stream: yields the pieces of one text and appends what they came to. structure: of every text."""
        self.prompt_tokens, self.structure = prompt_tokens, structure
        self._run, self._stream = run, stream
        self.generated: list[Generated] = []
        self.on_end: Callable[[Stopwatch], None] = lambda watch: None
        """Called once, with the time that it took."""

    @property
    def tokens(self) -> int:
        """Generated, of all texts."""
        return sum(one.tokens for one in self.generated)

    @property
    def pieces(self) -> Iterator[str]:
        """Of the text, as they come; `generated` is known after the last one."""
        watch = Stopwatch()
        try:
            yield from self._stream(self.generated)
        finally:
            self.on_end(watch)

    def run(self) -> Completion:
        """All of `generated` at once."""
        watch = Stopwatch()
        self.generated = self._run()
        self.on_end(watch)
        return self


class Completer(Protocol):
    """An engine of text-generation."""

    def complete_each(self, items: list[Json], **parameters: Json) -> list[Completion]:
        """Of each prompt; those that are run whole are computed together. Parameters are checked already."""


def together(count: int, run: Callable[[], list[list[Generated]]]) -> list[Callable[[], list[Generated]]]:
    """For each of `count` prompts what `run` makes of it; the first one that is asked for makes all."""
    made: list[list[Generated]] = []

    def one(at: int) -> list[Generated]:
        if not made:
            made.extend(run())
        return made[at]

    return [partial(one, at) for at in range(count)]


def with_answer(prompt: Json, text: str) -> Json:
    """The prompt with its answer, as transformers gives it: a text, or the messages with one more."""
    if isinstance(prompt, str):
        return prompt + text
    last = prompt[-1]
    if last["role"] == "assistant":
        before = last["content"]
        content = before + text if isinstance(before, str) else [*before, {"type": "text", "text": text}]
        return [*prompt[:-1], {**last, "content": content}]
    return [*prompt, {"role": "assistant", "content": text}]
