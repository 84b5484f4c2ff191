"""What a request cost, by the lines that it left in the function's log."""

import re
from collections.abc import Mapping

from local.playground.records import Cost
from warmup import prices
from warmup.cli.ask import request_line
from warmup.cli.stack import billed_ms
from warmup.protocol.records import Json

_DURATION = re.compile(r"\tDuration: (\d+(?:\.\d+)?) ms")
_MEMORY = re.compile(r"Memory Size: (\d+) MB")
_PEAK = re.compile(r"Max Memory Used: (\d+) MB")


def cost_of(log: str, seconds: float, *, memory_mb: int | None, architecture: str) -> Cost:
    """`seconds`: what the caller waited.

    Of the phases, `start` is what is neither Python's import of the script nor the handler: Lambda's own
    work, and the way there. A script whose handler is none of ours says no phases.
    """
    report = next((line for line in reversed(log.splitlines()) if line.startswith("REPORT ")), "")
    billed = billed_ms(report) or _number(_DURATION, report)
    memory = memory_mb or _whole(_number(_MEMORY, report))
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
        peak_mb=_whole(_number(_PEAK, report)),
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


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found[1]) if found else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
