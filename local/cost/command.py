"""`make cost`: runs the program as a stack under the mock monitor and writes what it will cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pulumi

from discovery import ScriptError, read_scripts
from local.cost.config import config_of
from local.cost.estimate import Estimate, Line, estimate
from local.cost.memory import needed_memory, read_warmed
from local.cost.models import ask_hub
from local.program import mock
from local.program.declare import ProgramError, project_name
from warmup.cli.tables import table_lines

_ZONES = "abcdef"
_DATED = "List prices before free tiers and taxes; a price without money is a quantity alone."


def cost_of_stack(
    root: Path,
    stack: str,
    *,
    hub: str | None = None,
    ask: bool = False,
    times: Sequence[str] = (),
    report: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Estimate:
    """What `stack` costs by its settings and scripts, whether it is there or not; nothing is asked of AWS.

    `ask`: the Hub is asked about models, `hub` where that is another one than the settings'. `times`:
    milliseconds of a request, "25" or "sentiment=25". `report`: of the last `make up`, which says how much
    memory language models take. Raises ProgramError, and WarmupError where the Hub says no.
    """
    config = config_of(root, stack)
    project = project_name(root)
    region = str(config.values.get("aws:region", ""))
    try:
        answers = mock.Answers(region, [f"{region}{letter}" for letter in _ZONES])
        registered = mock.run_program(
            root, config.values, stack=stack, answers=answers, secret_keys=config.secret_keys, project=project
        )
        scripts = read_scripts(root / "inference")
    except (pulumi.RunError, ScriptError) as error:
        raise ProgramError(str(error)) from error
    milliseconds = _times(times, [script.name for script in scripts])
    address = hub or str(config.values.get(f"{project}:hubEndpoint") or "") or None
    own_file = f"Pulumi.{stack}.yaml"
    return estimate(
        stack,
        region,
        registered,
        forecasts=ask_hub(scripts, address, note) if ask else (),
        milliseconds=milliseconds,
        needed=needed_memory(scripts, read_warmed(report)),
        notes=() if (root / own_file).exists() else (f"there is no {own_file}: these are the defaults",),
    )


def lines_of(report: Estimate) -> Iterator[str]:
    """The report for people."""
    yield f"{report.stack}, idle for a month in {report.region}"
    rows = [_row(line) for line in report.idle]
    rows.append(("sum", "", f"${report.idle_usd:,.2f}", "of what has a price here"))
    yield from table_lines(("what", "quantity", "USD", "how"), rows, right=("quantity", "USD"))
    for endpoint in report.endpoints:
        yield ""
        yield (
            f"{endpoint.name}, a million warm requests: {endpoint.memory_mb:,} MB, {endpoint.architecture}"
        )
        rows = [_row(line) for line in endpoint.lines]
        rows.append(("sum", "", f"${endpoint.usd:,.2f}", ""))
        yield from table_lines(("what", "quantity", "USD", "how"), rows, right=("quantity", "USD"))
    yield ""
    yield "a warm-up of one model of a gigabyte, once"
    rows = [_row(line, digits=4) for line in report.warm_up]
    rows.append(("sum", "", f"${report.warm_up_usd:,.4f}", ""))
    yield from table_lines(("what", "quantity", "USD", "how"), rows, right=("quantity", "USD"))
    yield ""
    yield _DATED
    prices = [
        (each.name, f"${each.usd:.10f}".rstrip("0").rstrip("."), each.unit, each.date, each.page, each.read)
        for each in report.prices
    ]
    yield from table_lines(
        ("price of", "USD", "for one", "date", "page", "read from"), prices, right=("USD",)
    )
    for text in report.notes:
        yield f"note: {text}"


def _row(line: Line, digits: int = 2) -> tuple[str, str, str, str]:
    quantity = f"{line.quantity:,.3f}".rstrip("0").rstrip(".")
    usd = "-" if line.usd is None else f"${line.usd:,.{digits}f}"
    return line.what, f"{quantity} {line.unit}".rstrip(), usd, line.formula


def _times(given: Sequence[str], names: Sequence[str]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for text in given:
        name, named, number = text.rpartition("=")
        try:
            took = float(number)
        except ValueError:
            took = math.nan
        if not (0 < took <= 900_000):
            message = "must be the milliseconds of a request, up to 900000, such as 25 or sentiment=25"
            raise ProgramError(f"--ms {text}: {message}")
        if named and name not in names:
            raise ProgramError(f"--ms {text}: there is no script {name}; there are {', '.join(names)}")
        # One that names its script goes before one for all.
        found = {**found, name: took} if named else {**dict.fromkeys(names, took), **found}
    return found
