"""`.local/report.json` and the table that `make up` ends with."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("endpoint", "task", "model", "engine", "cold ms", "warm ms", "Hub requests", "answer")
_ANSWER_CHARACTERS = 64
_RIGHT = {"cold ms", "warm ms", "Hub requests"}


def complete(warmup: Mapping[str, Any], hub: str, requests: Mapping[str, int]) -> dict[str, Any]:
    """The warm-up's report, with the address of the Hub and how often each endpoint asked it."""
    endpoints = [
        {**each, "hub_requests": requests.get(each["name"], 0)} for each in warmup.get("endpoints", [])
    ]
    return {**warmup, "stack": "local", "hub": hub, "endpoints": endpoints}


def table(report: Mapping[str, Any]) -> list[str]:
    """Lines for a person."""
    rows = [list(_COLUMNS), *(_row(each) for each in report["endpoints"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [_line(row, widths) for row in rows]


def _row(endpoint: Mapping[str, Any]) -> list[str]:
    times = [_ms(endpoint.get("cold_ms")), _ms(endpoint.get("warm_ms"))]
    named = [str(endpoint.get(key) or "-") for key in ("name", "task", "model", "engine")]
    return [*named, *times, str(endpoint["hub_requests"]), _short(endpoint.get("response"))]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _short(response: Any) -> str:
    if response is None:
        return "-"
    body = response.get("body", response) if isinstance(response, Mapping) else response
    text = json.dumps(body, ensure_ascii=False) if not isinstance(body, str) else body
    return text if len(text) <= _ANSWER_CHARACTERS else text[: _ANSWER_CHARACTERS - 3] + "..."


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, _COLUMNS, strict=True)
    return "  ".join(
        cell.rjust(width) if column in _RIGHT else cell.ljust(width) for cell, width, column in cells
    ).rstrip()
