"""What every part of the attack is made of: cases that a seed draws, and how each of them ended."""

from __future__ import annotations

import faulthandler
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

_HANGS_S = 900


@dataclass(frozen=True)
class Outcome:
    """How one case ended. `figures`: what it counts for, by the name of a figure; true is as it should be."""

    case: str
    figures: Mapping[str, bool]
    said: str = ""
    """What went wrong, for whoever reads the report."""


@dataclass
class Result:
    """How the cases of one campaign ended."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What else was measured."""

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not all(outcome.figures.values())]

    def counted(self) -> dict[str, tuple[int, int]]:
        """Per figure how many cases ended well, of how many."""
        counts: dict[str, tuple[int, int]] = {}
        for outcome in self.outcomes:
            for name, well in outcome.figures.items():
                good, all_ = counts.get(name, (0, 0))
                counts[name] = (good + well, all_ + 1)
        return counts


def run(
    name: str,
    cases: Iterable[Callable[[], Outcome]],
    say: Callable[[str], None] = lambda _: None,
    seconds: float = math.inf,
) -> Result:
    """Run `cases` one after the other; after `seconds` no more begin. `say` is told of what went wrong.

    A case that hangs ends the process, after all threads have said where they stand.
    """
    result, began = Result(name), time.monotonic()
    for case in cases:
        if time.monotonic() - began > seconds:
            say(f"{name}: stopped after {seconds:.0f} s and {len(result.outcomes)} cases")
            break
        faulthandler.dump_traceback_later(_HANGS_S, exit=True)
        outcome = case()
        faulthandler.cancel_dump_traceback_later()
        result.outcomes.append(outcome)
        if not all(outcome.figures.values()):
            say(f"{name}: {outcome.case}: {outcome.said[:500]}")
    result.seconds = round(time.monotonic() - began, 1)
    return result
