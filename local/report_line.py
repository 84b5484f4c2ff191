"""The line with which Lambda ends what it logs of a request: what it took, what is billed, what was used."""

from __future__ import annotations

import re
from dataclasses import dataclass


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

        def number(before: str, unit: str) -> float | None:
            found = re.search(rf"(?:\t|^){before}: ([\d.]+) {unit}", line)
            return float(found[1]) if found else None

        def whole(before: str) -> int | None:
            found = number(before, "MB")
            return None if found is None else int(found)

        # In a line of its own: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
        trace = re.search(r"XRAY TraceId: (\S+)\t.*Sampled: true", last)
        return cls(
            duration_ms=number("Duration", "ms"),
            billed_ms=number("Billed Duration", "ms"),
            memory_mb=whole("Memory Size"),
            peak_mb=whole("Max Memory Used"),
            init_ms=number("Init Duration", "ms"),
            trace_id=trace[1] if trace else None,
        )
