"""JSON lines on standard output, which Lambda keeps: one per request or fault, never a caller's text."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping

from .errors import ServingError
from .records import Json
from .trace import Stopwatch, Trace


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
