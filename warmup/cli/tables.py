"""The report as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .display import size

_RESPONSE_WIDTH = 60
_WAS_UP = " (was up)"
"""Beside a first answer that an instance gave which was there already."""


def lines_of(action: str, document: dict[str, Any]) -> Iterator[str]:
    """What a person reads of `document`."""
    return {
        "warm": _warm,
        "plan": _plan,
        "status": _status,
        "verify": _verify,
        "prune": _prune,
    }[action](document)


def _warm(document: dict[str, Any]) -> Iterator[str]:
    for entry in document["warmup"]:
        yield (
            f"{entry['model']}@{entry['revision']}  {entry['commit'][:12]}  {entry['files']} files  "
            f"{size(entry['bytes'])}  {entry['seconds']:.1f} s"
        )
        yield from _prepared(entry)
    yield ""
    rows = [("endpoint", "engine", "cold ms", "warm ms", "answer")]
    rows += [
        (
            str(entry["name"]),
            str(entry["engine"] or "-"),
            f"{entry['cold_ms']:.0f}{_WAS_UP if entry.get('cold') is False else ''}",
            f"{entry['warm_ms']:.0f}",
            _short(entry["response"]),
        )
        for entry in document["endpoints"]
        if "error" not in entry
    ]
    yield from _table(rows)


def _prepared(entry: dict[str, Any]) -> Iterator[str]:
    for made in entry["prepared"]:
        figures = made["agreement"].get(made["precision"], {}).items()
        agreement = ", ".join(f"{name} {_figure(value)}" for name, value in figures)
        reason = f"; not int8: {made['reason']}" if made.get("reason") else ""
        what = f"{made['head']} as {made['precision']}, {size(made['bytes'])}"
        yield f"    prepared {what} ({agreement}){reason}"
    for refused in entry["not_prepared"]:
        yield f"    not prepared for {refused['task']}, stays on torch: {refused['reason']}"


def _plan(document: dict[str, Any]) -> Iterator[str]:
    for entry in document["models"]:
        missing = size(entry["missing_bytes"])
        yield f"{entry['model']}  {entry['commit'][:12]}  {size(entry['bytes'])}, {missing} to download"
        for file in entry["files"]:
            yield f"    {size(file['size']):>10}  {'cached' if file['cached'] else '      '}  {file['path']}"


def _status(document: dict[str, Any]) -> Iterator[str]:
    for entry in document["models"]:
        name = f"{entry['model']}@{entry['revision']}"
        if entry.get("cold"):
            yield f"{name}  cold"
            continue
        held = f"{entry['files']} files  {size(entry['bytes'])}"
        yield f"{name}  {entry['commit'][:12]}  {held}  {entry['warmed_at']}"
        yield from _prepared(entry)
    for entry in document["unused"]:
        name = f"{entry['model']}@{entry['revision']}"
        yield f"{name}  {size(entry['bytes'])}  used by no script: prune removes it"


def _verify(document: dict[str, Any]) -> Iterator[str]:
    for entry in document["models"]:
        good = "as the Hub has them" if not entry["faults"] else f"{len(entry['faults'])} damaged"
        yield f"{entry['model']}  {entry['files']} files, {size(entry['bytes'])}: {good}"


def _prune(document: dict[str, Any]) -> Iterator[str]:
    pruned = document["prune"] or {"removed": [], "bytes": 0, "busy": []}
    yield from (f"    {path}" for path in pruned["removed"])
    yield f"{len(pruned['removed'])} removed, {size(pruned['bytes'])}"
    yield from (f"{name}: left alone, a warm-up is working on it" for name in pruned["busy"])


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _short(response: Any) -> str:
    text = json.dumps(response, ensure_ascii=False)
    return text if len(text) <= _RESPONSE_WIDTH else text[: _RESPONSE_WIDTH - 1] + "…"


def _figure(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
