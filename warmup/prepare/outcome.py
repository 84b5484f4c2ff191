"""How preparing, or one step of it, can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..protocol.errors import ErrorKind
from ..protocol.records import Record

Figures = Mapping[str, float]
"""Name of a measure -> how a candidate compares with transformers by it."""


@dataclass(frozen=True)
class Verdict(Record):
    """What the gate says of a candidate: its figures, and why it is refused (None: it passes)."""

    figures: Figures
    refused: str | None = None


class NotPrepared(Exception):  # noqa: N818 - a result, and its name is what the report shows
    """The model stays on torch; `reason` is one sentence for the report."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PrepareFailed(NotPrepared):
    """No verdict on the model: the machine had too little memory, disk or time, or the repository lacks what
    the task needs. What an earlier warm-up published is still right. `kind` is for programs."""

    def __init__(self, reason: str, kind: ErrorKind = ErrorKind.NOT_PREPARED) -> None:
        super().__init__(reason)
        self.kind = kind


class Unfinished(Exception):  # noqa: N818 - not an error: call again and it goes on
    """Stopped cleanly with steps left (no time, or another run is at it); the finished ones are kept."""
