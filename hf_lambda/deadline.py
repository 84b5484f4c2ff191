"""How long the request at hand may still take: work that would go past it ends as an answer, not a kill."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

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
    """Raises Unprocessable where the time is up; called before every run of a model, or of a layer of it."""
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() > deadline:
        raise Unprocessable(
            None,
            "the request takes longer than the function's time-out: send fewer or shorter inputs, ask for "
            "less, or raise timeoutSeconds",
        )


class Stoppable(Protocol):
    """Work that asks itself whether it is to stop, as onnxruntime does between two nodes of a graph."""

    terminate: bool


@contextmanager
def stopping(work: Stoppable) -> Iterator[None]:
    """While the block runs, `work` is told to stop once the time is up."""
    ends_at = _deadline.get()
    if ends_at is None:
        yield
        return
    _watchdog.add(work, ends_at)
    try:
        yield
    finally:
        _watchdog.remove(work)


class _Watchdog:
    """One thread for all requests, asleep until the first deadline it knows of: most work is done before."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._works: dict[int, tuple[float, Stoppable]] = {}
        self._wakes_at = math.inf
        self._is_started = False

    def add(self, work: Stoppable, ends_at: float) -> None:
        with self._changed:
            self._works[id(work)] = (ends_at, work)
            if not self._is_started:
                threading.Thread(target=self._watch, name="deadline", daemon=True).start()
                self._is_started = True
            elif ends_at < self._wakes_at:
                self._changed.notify()

    def remove(self, work: Stoppable) -> None:
        with self._changed:
            del self._works[id(work)]

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for ends_at, work in self._works.values():
                    if ends_at <= now:
                        work.terminate = True
                ahead = [ends_at for ends_at, _ in self._works.values() if ends_at > now]
                self._wakes_at = min(ahead, default=math.inf)
                self._changed.wait(self._wakes_at - now if ahead else None)


_watchdog = _Watchdog()
