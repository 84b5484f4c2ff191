"""What a request cost, by the lines that it left in the function's log."""

from collections.abc import Mapping

from local.playground.records import Cost
from local.report_line import ReportLine
from warmup import prices
from warmup.cli.ask import request_line
from warmup.protocol.records import Json


def cost_of(log: str, seconds: float, *, memory_mb: int | None, architecture: str) -> Cost:
    """`seconds`: what the caller waited.

    Of the phases, `start` is what is neither Python's import of the script nor the handler: Lambda's own
    work, and the way there. A script whose handler is none of ours says no phases.
    """
    report = ReportLine.of(log)
    billed = report.billed_ms or report.duration_ms
    memory = memory_mb or report.memory_mb
    said = request_line(log)
    total_ms = seconds * 1000
    price = None if billed is None or memory is None else prices.million_usd(memory, billed, architecture)
    return Cost(
        total_ms=round(total_ms, 1),
        cold=said.get("cold"),
        engine=said.get("engine"),
        phases=_phases(said, total_ms),
        billed_ms=billed,
        memory_mb=memory,
        peak_mb=report.peak_mb,
        million_usd=price,
    )


def _phases(said: Mapping[str, Json], total_ms: float) -> dict[str, float]:
    handler = said.get("total_ms")
    if not isinstance(handler, int | float):
        return {}
    imported, loaded, inferred = (float(said.get(f"{name}_ms") or 0) for name in ("import", "load", "infer"))
    phases = {
        "start": total_ms - imported - handler,
        "import": imported,
        "load": loaded,
        "infer": inferred,
        "other": handler - loaded - inferred,
    }
    return {name: round(max(0.0, each), 1) for name, each in phases.items()}
