"""How long the request at hand may still take: work that would go past it ends as an answer, not a kill."""

from __future__ import annotations

import time
from contextvars import ContextVar

from .errors import Unprocessable

_MARGIN_S, _MARGIN_SHARE = 0.5, 0.1
"""Kept for the answer itself: the smaller of the two."""
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(context: object) -> None:
    """The request of Lambda's `context` begins; without one there is no deadline."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is None:
        _deadline.set(None)
        return
    left_s = remaining() / 1000
    _deadline.set(time.monotonic() + left_s - min(_MARGIN_S, _MARGIN_SHARE * left_s))


def end() -> None:
    """The request is answered."""
    _deadline.set(None)


def check() -> None:
    """Raises Unprocessable where the time is up; called before every run of a model."""
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() > deadline:
        raise Unprocessable(
            None,
            "the request takes longer than the function's time-out: send fewer or shorter inputs, ask for "
            "less, or raise timeoutSeconds",
        )
