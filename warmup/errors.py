"""What stops a warm-up: a fault to fix, or the time that a Lambda has."""

from __future__ import annotations


class WarmupError(Exception):
    """One line for the operator: what was asked, what came back, what to do. `kind` is for programs.

    Where a function failed, the last lines that it logged follow.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class OutOfTime(Exception):  # noqa: N818 - not a fault: the command invokes again
    """The deadline is near; what is done stays, the next invocation goes on from there."""


class Stopped(Exception):  # noqa: N818
    """Raised inside a worker whose result nobody waits for any more."""
