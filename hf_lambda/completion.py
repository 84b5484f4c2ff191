"""One prompt's generations: what an engine makes of them, whole or piece by piece. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .records import Json
from .structure import Structure
from .trace import Stopwatch


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


def with_answer(prompt: Json, text: str) -> Json:
    """The prompt with its answer, as transformers gives it: a text, or the messages with one more."""
    if isinstance(prompt, str):
        return prompt + text
    last = prompt[-1]
    if last["role"] == "assistant":
        return [*prompt[:-1], {**last, "content": last["content"] + text}]
    return [*prompt, {"role": "assistant", "content": text}]
