"""The Lambda's log: one JSON line per event, through the standard library's logging."""

from __future__ import annotations

import json
import logging
import sys

_logger = logging.getLogger("warmup")
_logger.propagate = False  # Lambda's runtime would write every line once more, in its own format
_logger.addHandler(logging.NullHandler())


class JsonFormatter(logging.Formatter):
    """The event, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        return json.dumps({"event": record.getMessage(), **fields}, default=str)


class StdoutHandler(logging.Handler):
    """Writes to what `sys.stdout` is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(f"{self.format(record)}\n")
        sys.stdout.flush()


def log(event: str, **fields: object) -> None:
    """Never pass a token, and nothing that a caller wrote. Silent until `log_to_stdout`."""
    _logger.info("%s", event, extra={"fields": fields})


def log_to_stdout() -> None:
    """For the Lambda. The command keeps stdout for people and reports, and runs some of the same code."""
    if not any(isinstance(handler, StdoutHandler) for handler in _logger.handlers):
        handler = StdoutHandler()
        handler.setFormatter(JsonFormatter())
        _logger.addHandler(handler)
        _logger.setLevel(logging.INFO)
