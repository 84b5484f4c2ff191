"""What one request spent where, and the JSON lines that say so: one per request or fault, no caller's text.

Pipelines write into the request's Trace. The lines go to standard output, which Lambda keeps.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

from .errors import ServingError
from .records import Json

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


current_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def note_truncated(inputs: int) -> None:
    """Say of the request that is answered here that `inputs` of its inputs were cut."""
    if (trace := current_trace.get()) is not None:
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


def write(event: str, **fields: Json) -> None:
    """One line, whole: `flush` because Lambda may freeze the process right after the answer."""
    sys.stdout.write(json.dumps({"event": event, **fields}, default=str) + "\n")
    sys.stdout.flush()


def request(
    endpoint: str,
    trace: Trace,
    watch: Stopwatch,
    *,
    cold: bool,
    import_ms: float | None,
    status: int,
    request_id: str,
) -> None:
    """The line of one request: what it spent where."""
    write(
        "request",
        endpoint=endpoint,
        cold=cold,
        engine="+".join(trace.engines) or None,
        import_ms=_rounded(import_ms) if cold else 0,
        load_ms=_rounded(trace.load_ms),
        infer_ms=_rounded(trace.infer_ms),
        total_ms=_rounded(watch.ms),
        status=status,
        request_id=request_id,
        **({"truncated_inputs": trace.truncated_inputs} if trace.truncated_inputs else {}),
    )


def unavailable(endpoint: str, error: ServingError, request_id: str) -> None:
    """The line of an answer that is our fault and known (503); a caller's mistake has none."""
    if error.status >= 500:
        write("unavailable", endpoint=endpoint, id=request_id, error=fault(error))


def fault(error: BaseException, environ: Mapping[str, str] = os.environ) -> dict[str, Json]:
    """Type and frames of `error` and its causes, and where nothing of the caller can be in it the message.

    A message quotes what was given: a number, a key, half of a text. Only those of our own errors, which
    speak of the model and the cache, are kept; all of them where `LOG_MESSAGES` is 1.
    """
    chain: list[dict[str, Json]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)
        said = {"message": str(current)[:1000]} if _is_ours(current) or logs_messages(environ) else {}
        chain.append(
            {
                "type": type(current).__qualname__,
                **said,
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return {**chain[0], "causes": chain[1:]}


MESSAGES = "LOG_MESSAGES"
"""Variable that the config key `logMessages` sets."""


def logs_messages(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether exceptions' messages, which quote what callers sent, may be logged."""
    return environ.get(MESSAGES) == "1"


def _is_ours(error: BaseException) -> bool:
    is_ours = isinstance(error, ServingError) and type(error).__module__ == ServingError.__module__
    return is_ours and type(error).status >= 500 and type(error) is not ServingError  # type: ignore[attr-defined]


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
