"""`.local/report.json` and the table that `make up` ends with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from warmup.protocol.outputs import LOCAL
from warmup.protocol.records import Json
from warmup.protocol.reports import EndpointAnswer, EndpointFailure, EndpointReport, WarmReport

_COLUMNS = ("endpoint", "task", "model", "engine", "cold ms", "warm ms", "Hub requests", "answer")
_ANSWER_CHARACTERS = 64
_RIGHT = {"cold ms", "warm ms", "Hub requests"}


def complete(warmed: WarmReport, hub: str, requests: Mapping[str, int]) -> WarmReport:
    """The warm-up's report, with the address of the Hub and how often each endpoint asked it."""
    endpoints = tuple(replace(each, hub_requests=requests.get(each.name, 0)) for each in warmed.endpoints)
    return replace(warmed, stack=LOCAL, hub=hub, endpoints=endpoints)


def table(report: WarmReport) -> list[str]:
    """Lines for a person."""
    rows = [list(_COLUMNS), *(_row(each) for each in report.endpoints)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [_line(row, widths) for row in rows]


def notes(report: WarmReport) -> list[str]:
    """What the table has no room for: why a model stays on torch, or in fp32."""
    lines = []
    for model in report.warmup:
        for code in model.code:
            lines.append(
                f"{model.repo_id} RUNS CODE of {code.model} at {code.commit} (trust_remote_code=True)"
            )
        for refused in model.not_prepared:
            lines.append(f"{model.repo_id} stays on torch for {refused.task}: {refused.reason}")
        for made in model.prepared:
            if made.reason:
                lines.append(f"{model.repo_id} is served in {made.precision} for {made.head}: {made.reason}")
    return [*lines, *report.advice]


def failures(report: WarmReport) -> list[str]:
    """Why endpoints failed, whole: the table has the beginning."""
    return [f"{each.name}: {each.error}" for each in report.endpoints if isinstance(each, EndpointFailure)]


def _row(endpoint: EndpointReport) -> list[str]:
    named = [endpoint.name, endpoint.task or "-", endpoint.repo_id or "-"]
    if not isinstance(endpoint, EndpointAnswer):
        return [*named, "-", "-", "-", str(endpoint.hub_requests), _short(endpoint.error)]
    times = [_ms(endpoint.cold_ms), _ms(endpoint.warm_ms)]
    return [
        *named,
        endpoint.engine or "-",
        *times,
        str(endpoint.hub_requests),
        _short(endpoint.response),
    ]


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _short(response: Json) -> str:
    body = response.get("body", response) if isinstance(response, Mapping) else response
    text = json.dumps(body, ensure_ascii=False) if not isinstance(body, str) else body.partition("\n")[0]
    return text if len(text) <= _ANSWER_CHARACTERS else text[: _ANSWER_CHARACTERS - 3] + "..."


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, _COLUMNS, strict=True)
    return "  ".join(
        cell.rjust(width) if column in _RIGHT else cell.ljust(width) for cell, width, column in cells
    ).rstrip()
