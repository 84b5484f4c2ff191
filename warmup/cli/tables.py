"""The report as text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..protocol.answers import ColdModel, PruneResult, WarmedModel
from ..protocol.records import Json
from ..protocol.reports import (
    EndpointAnswer,
    PlanReport,
    PruneReport,
    Released,
    Report,
    RollbackReport,
    StatusReport,
    VerifyReport,
    WarmReport,
)
from .display import size

_RESPONSE_WIDTH = 60
_WAS_UP = " (was up)"
"""Beside a first answer that an instance gave which was there already."""
_WIDTH = 10_000
"""Of a line: what a terminal cannot show is its own to wrap, a file and a pipe get whole lines."""


def lines_of(report: Report) -> Iterator[str]:
    """What a person reads of `report`."""
    if isinstance(report, WarmReport):
        return _warm(report)
    if isinstance(report, PlanReport):
        return _plan(report)
    if isinstance(report, StatusReport):
        return _status(report)
    if isinstance(report, RollbackReport):
        return _releases(report.releases)
    return _verify(report) if isinstance(report, VerifyReport) else _prune(report)


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> list[str]:
    """A table without lines. right: the columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _warm(report: WarmReport) -> Iterator[str]:
    for relayed in report.relays:
        amount = f"{size(relayed.relayed_bytes)} of {size(relayed.bytes)}"
        yield f"{relayed.repo_id}  {relayed.commit[:12]}  Hub -> S3  {amount}  {relayed.seconds:.1f} s"
    for model in report.warmup:
        yield (
            f"{model.repo_id}@{model.revision}  {model.commit[:12]}  {model.files} files  "
            f"{size(model.bytes)}  {model.seconds or 0:.1f} s"
        )
        yield from _prepared(model)
        for code in model.code:
            yield f"    RUNS CODE of {code.model} at {code.commit} (trust_remote_code=True in the script)"
    yield ""
    rows = [
        (
            endpoint.name,
            endpoint.engine or "-",
            f"{endpoint.cold_ms:.0f}{_WAS_UP if endpoint.cold is False else ''}",
            f"{endpoint.warm_ms:.0f}",
            _short(endpoint.response),
        )
        for endpoint in report.endpoints
        if isinstance(endpoint, EndpointAnswer)
    ]
    yield from table_lines(("endpoint", "engine", "cold ms", "warm ms", "answer"), rows)
    yield from report.advice
    yield from _releases(report.releases)


def _releases(releases: Sequence[Released]) -> Iterator[str]:
    for each in releases:
        if each.error is None:
            yield f"{each.name}: version {each.version} serves, version {each.before} did"


def _prepared(model: WarmedModel) -> Iterator[str]:
    for made in model.prepared:
        figures = made.agreement.get(made.precision, {}).items()
        agreement = ", ".join(f"{name} {_figure(value)}" for name, value in figures)
        reason = f"; not int8: {made.reason}" if made.reason else ""
        what = f"{made.head} as {made.precision}, {size(made.bytes)}"
        yield f"    prepared {what} ({agreement}){reason}"
        if made.memory_mb:
            yield f"        a function takes {made.memory_mb} MB to serve a text of {made.context} tokens"
    for refused in model.not_prepared:
        yield f"    not prepared for {refused.task}, stays on torch: {refused.reason}"
    for unknown in model.not_compared:
        yield f"    NOT COMPARED whether its weights were trained for {unknown.task}: {unknown.reason}"
    for use in model.refused:
        yield f"    REFUSED for {use.task}: {use.reason}"


def _plan(report: PlanReport) -> Iterator[str]:
    for model in report.models:
        missing = size(model.missing_bytes)
        yield f"{model.repo_id}  {model.commit[:12]}  {size(model.bytes)}, {missing} to download"
        for file in model.files:
            yield f"    {size(file.size):>10}  {'cached' if file.cached else '      '}  {file.path}"


def _status(report: StatusReport) -> Iterator[str]:
    for model in report.models:
        name = f"{model.repo_id}@{model.revision}"
        if isinstance(model, ColdModel):
            yield f"{name}  cold"
            continue
        content = f"{model.files} files  {size(model.bytes)}"
        yield f"{name}  {model.commit[:12]}  {content}  {model.warmed_at}"
        yield from _prepared(model)
    for unused in report.unused:
        name = f"{unused.repo_id}@{unused.revision}"
        yield f"{name}  {size(unused.bytes)}  used by no script: prune removes it"


def _verify(report: VerifyReport) -> Iterator[str]:
    for model in report.models:
        good = "as the Hub has them" if not model.faults else f"{len(model.faults)} damaged"
        yield f"{model.repo_id}  {model.files} files, {size(model.bytes)}: {good}"


def _prune(report: PruneReport) -> Iterator[str]:
    pruned = report.prune or PruneResult((), 0, ())
    yield from (f"    {path}" for path in pruned.removed)
    yield f"{len(pruned.removed)} removed, {size(pruned.bytes)}"
    yield from (f"{name}: left alone, a warm-up is working on it" for name in pruned.busy)
    if pruned.unseen:
        yield "models that no script names stay, as a script may load them; --force removes them:"
        yield from (f"    {note}" for note in pruned.unseen)


def _short(response: Json) -> str:
    text = json.dumps(response, ensure_ascii=False)
    return text if len(text) <= _RESPONSE_WIDTH else text[: _RESPONSE_WIDTH - 1] + "…"


def _figure(value: Json) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
