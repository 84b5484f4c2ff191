"""What one request spent where; pipelines write into it, the endpoint logs it."""

from __future__ import annotations

import time
from contextvars import ContextVar
from pathlib import Path

TRUNCATED_HEADER = "truncated-inputs"


class Trace:
    """Milliseconds by phase, and the engines that answered."""

    def __init__(self) -> None:
        self.load_ms = 0.0
        self.infer_ms = 0.0
        self.engines: list[str] = []
        self.left_out: frozenset[str] = frozenset()
        """Parameters of the handler that the event says nothing of: their values are the handler's own."""
        self.truncated_inputs = 0
        """Inputs that the model did not read whole."""

    def infer(self, engine: str, milliseconds: float) -> None:
        self.infer_ms += milliseconds
        if engine not in self.engines:
            self.engines.append(engine)

    @property
    def headers(self) -> dict[str, str]:
        """What an HTTP answer says of how it came about."""
        return {TRUNCATED_HEADER: str(self.truncated_inputs)} if self.truncated_inputs else {}

    def loaded(self, milliseconds: float) -> None:
        self.load_ms += milliseconds


current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def note_truncated(inputs: int) -> None:
    """Say of the request that is answered here that `inputs` of its inputs were cut."""
    if (trace := current.get()) is not None:
        trace.truncated_inputs += inputs


class Stopwatch:
    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000


def process_age_ms() -> float | None:
    """Milliseconds since this process was started, in steps of 10; None where /proc does not tell."""
    try:
        # Field 22 of proc_pid_stat(5), in clock ticks since boot; the name in field 2 may hold spaces.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return max(0.0, uptime_s - ticks / 100) * 1000
