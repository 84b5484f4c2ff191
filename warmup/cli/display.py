"""Progress for a person: bars with bytes, speed and ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..protocol.answers import ModelProgress

LINE_SECONDS = 10.0
"""Plain lines: at most one per model in so long, unless its phase changes."""


class Display(Protocol):
    def show(self, key: str, progress: ModelProgress) -> None: ...


@contextmanager
def display(stream: TextIO) -> Iterator[Display]:
    """Bars if `stream` is a terminal, else lines."""
    if not stream.isatty():
        yield Lines(stream)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(file=stream), refresh_per_second=5) as progress:
        yield Bars(progress)


class Bars:
    """One bar per model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, key: str, progress: ModelProgress) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(key, total=None, doing="")
        total, done = progress.bytes_total or None, progress.bytes_done
        self._progress.update(self._tasks[key], total=total, completed=done, doing=_doing(progress))


class Lines:
    """A line when a phase begins, and one every few seconds while bytes come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, tuple[str, float]] = {}
        self._rates: dict[str, tuple[float, int]] = {}

    def show(self, key: str, progress: ModelProgress) -> None:
        doing, now = _doing(progress), time.monotonic()
        last, at = self._last.get(key, ("", 0.0))
        if not doing or (doing == last and (now - at < LINE_SECONDS or doing == "done")):
            return
        self._last[key] = (doing, now)
        self._stream.write(f"{key}: {doing}{self._amount(key, progress, now)}\n")
        self._stream.flush()

    def _amount(self, key: str, progress: ModelProgress, now: float) -> str:
        total, done = progress.bytes_total, progress.bytes_done
        if not total:
            return ""
        began, first = self._rates.setdefault(key, (now, done))
        amount = f", {size(done)} of {size(total)}"
        if now > began and first < done < total:
            rate = (done - first) / (now - began)
            amount += f", {size(int(rate))}/s, {(total - done) / rate:.0f} s left"
        return amount


def size(count: int) -> str:
    """1536 -> '1.5 KiB'"""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"


def _doing(progress: ModelProgress) -> str:
    return f"{progress.phase} ({progress.note})" if progress.note else progress.phase
