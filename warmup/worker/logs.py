"""The Lambda's log: one JSON line per event."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_muted = False


def log(event: str, **fields: Any) -> None:
    """Never pass a token, and nothing that a caller wrote."""
    if not _muted:
        sys.stdout.write(json.dumps({"event": event, **fields}, default=str) + "\n")
        sys.stdout.flush()


@contextmanager
def muted() -> Iterator[None]:
    """For the command, whose stdout is a person's or a report's: it stages with the Lambda's own code."""
    global _muted
    before, _muted = _muted, True
    try:
        yield
    finally:
        _muted = before
