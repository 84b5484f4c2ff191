"""`.local/report.json` and the table that `make up` ends with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from warmup.protocol.reports import EndpointAnswer, EndpointReport, WarmReport

_COLUMNS = ("endpoint", "task", "model", "engine", "cold ms", "warm ms", "Hub requests", "answer")
_ANSWER_CHARACTERS = 64
_RIGHT = {"cold ms", "warm ms", "Hub requests"}


def complete(warmed: WarmReport, hub: str, requests: Mapping[str, int]) -> WarmReport:
    """The warm-up's report, with the address of the Hub and how often each endpoint asked it."""
    endpoints = tuple(replace(each, hub_requests=requests.get(each.name, 0)) for each in warmed.endpoints)
    return replace(warmed, stack="local", hub=hub, endpoints=endpoints)


def table(report: WarmReport) -> list[str]:
    """Lines for a person."""
    rows = [list(_COLUMNS), *(_row(each) for each in report.endpoints)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [_line(row, widths) for row in rows]


def _row(endpoint: EndpointReport) -> list[str]:
    named = [endpoint.name, endpoint.task or "-", endpoint.repo_id or "-"]
    if not isinstance(endpoint, EndpointAnswer):
        return [*named, "-", "-", "-", str(endpoint.hub_requests), "-"]
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


def _short(response: Any) -> str:
    body = response.get("body", response) if isinstance(response, Mapping) else response
    text = json.dumps(body, ensure_ascii=False) if not isinstance(body, str) else body
    return text if len(text) <= _ANSWER_CHARACTERS else text[: _ANSWER_CHARACTERS - 3] + "..."


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, _COLUMNS, strict=True)
    return "  ".join(
        cell.rjust(width) if column in _RIGHT else cell.ljust(width) for cell, width, column in cells
    ).rstrip()
