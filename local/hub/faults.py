"""Faults that a test asks the embedded Hub for: wrong answers and broken connections."""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .responses import (
    Response,
    entry_not_found,
    gated,
    rate_limited,
    repository_not_found,
    revision_not_found,
    server_error,
    token_refused,
)


@dataclass(frozen=True)
class Truncate:
    """The body ends early and Content-Length says so: nothing but the expected size tells."""

    keep: float = 0.5


@dataclass(frozen=True)
class Corrupt:
    """The right length with one byte in the middle changed."""


@dataclass(frozen=True)
class Drop:
    """The connection closes after this share of the body; Content-Length promised all of it."""

    after: float = 0.5


@dataclass(frozen=True)
class Slow:
    """The body comes at this rate."""

    bytes_per_s: int


@dataclass(frozen=True)
class Stall:
    """Half of a chunk, then nothing until `release` is set or the Hub stops; `reached` is set then."""

    release: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


Fault = Truncate | Corrupt | Drop | Slow | Stall | Response
"""A `Response` replaces the right one, to HEAD and GET alike; the others strike where a body is sent."""

FAULTS: dict[str, Fault] = {
    "truncate": Truncate(),
    "corrupt": Corrupt(),
    "drop": Drop(),
    "gated": gated(),
    "unauthorized": token_refused(),
    "repository-not-found": repository_not_found(),
    "revision-not-found": revision_not_found(),
    "entry-not-found": entry_not_found(),
    "rate-limited": rate_limited(),
    "server-error": server_error(),
}
"""The faults that can be asked for by name."""


@dataclass
class _Pending:
    pattern: str
    fault: Fault
    left: int


class FaultBook:
    """Faults still to come, in the order they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._stalls: list[Stall] = []

    def add(self, pattern: str, fault: Fault, times: int) -> None:
        with self._lock:
            self._pending.append(_Pending(pattern, fault, times))
            if isinstance(fault, Stall):
                self._stalls.append(fault)

    def take(self, paths: Collection[str], *, has_body: bool) -> Fault | None:
        """The first fault that fits a request known by `paths`, counted down."""
        with self._lock:
            for pending in self._pending:
                fits = isinstance(pending.fault, Response) or has_body
                if pending.left and fits and any(fnmatchcase(path, pending.pattern) for path in paths):
                    pending.left -= 1
                    return pending.fault
        return None

    def clear(self) -> None:
        """Forget what is to come and release what waits."""
        with self._lock:
            self._pending.clear()
            for stall in self._stalls:
                stall.release.set()
            self._stalls.clear()
