"""JSON lines on standard output, which Lambda keeps: one per request or fault, never a caller's text."""

from __future__ import annotations

import json
import re
import sys
import traceback
from typing import Any

from .trace import Stopwatch, Trace


def write(event: str, **fields: Any) -> None:
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
    )


def fault(error: BaseException, given: Any) -> dict[str, Any]:
    """Type, message and frames of `error` and its causes; what messages quote of `given` is left out."""
    texts = _texts(given)
    chain: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)
        chain.append(
            {
                "type": type(current).__qualname__,
                "message": _redacted(str(current), texts)[:1000],
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return {**chain[0], "causes": chain[1:]}


def _redacted(message: str, texts: list[str]) -> str:
    """Each text of the caller, and each word of 3 or more letters that is in one, is blotted out."""
    for text in filter(None, texts):
        message = message.replace(text, "[...]")
    return re.sub(
        r"\w{3,}", lambda word: "[...]" if any(word[0] in text for text in texts) else word[0], message
    )


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, dict):
        return [text for value in given.values() for text in _texts(value)]
    if isinstance(given, list):
        return [text for value in given for text in _texts(value)]
    return []


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
