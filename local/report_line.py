"""The line with which Lambda ends what it logs of a request: what it took, what is billed, what was used."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELDS = {
    "duration_ms": r"(?:\t|^)Duration: ([\d.]+) ms",
    "billed_ms": r"Billed Duration: ([\d.]+) ms",
    "memory_mb": r"Memory Size: (\d+) MB",
    "peak_mb": r"Max Memory Used: (\d+) MB",
    "init_ms": r"Init Duration: ([\d.]+) ms",
}


@dataclass(frozen=True)
class ReportLine:
    """None: the line does not say it."""

    duration_ms: float | None = None
    billed_ms: float | None = None
    memory_mb: int | None = None
    peak_mb: int | None = None
    """Since the instance started, not of this request alone."""
    init_ms: float | None = None
    """Of an instance's first request."""
    trace_id: str | None = None
    """Where X-Ray sampled the request."""

    @classmethod
    def of(cls, log: str) -> ReportLine:
        """By the last such line of `log`; without one nothing is said."""
        _, found_one, last = f"\n{log}".rpartition("\nREPORT ")
        if not found_one:
            return cls()
        line = last.partition("\n")[0]
        found = {name: re.search(pattern, line) for name, pattern in _FIELDS.items()}
        numbers = {name: float(each[1]) for name, each in found.items() if each}
        whole = {name: int(numbers[name]) for name in ("memory_mb", "peak_mb") if name in numbers}
        # In a line of its own: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
        trace = re.search(r"XRAY TraceId: (\S+)\t.*Sampled: true", last)
        return cls(**{**numbers, **whole}, trace_id=trace[1] if trace else None)  # type: ignore[arg-type]
