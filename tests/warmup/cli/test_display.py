"""What a person sees while it runs, on a terminal and elsewhere."""

import io

import pytest

from warmup.cli.display import display, size
from warmup.protocol.answers import ModelProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("warmup.cli.display.time.monotonic", lambda: now[0])
    return now


def fetching(done: int, total: int = 4 << 20) -> ModelProgress:
    return ModelProgress("fetch", bytes_done=done, bytes_total=total)


def test_without_a_terminal_a_line_comes_with_every_phase_and_every_ten_seconds(clock: list[float]) -> None:
    out = io.StringIO()
    with display(out) as shown:
        shown.show("org/m", ModelProgress("resolve"))
        shown.show("org/m", fetching(0))
        clock[0] += 1
        shown.show("org/m", fetching(1 << 20))
        clock[0] += 9
        shown.show("org/m", fetching(2 << 20))
        shown.show("org/m", ModelProgress("prepare", "export"))
        shown.show("org/m", ModelProgress("prepare", "export"))
    assert out.getvalue().splitlines() == [
        "org/m: resolve",
        "org/m: fetch, 0 B of 4.0 MiB",
        "org/m: fetch, 2.0 MiB of 4.0 MiB, 209.7 KiB/s, 10 s left".replace("209.7", "204.8"),
        "org/m: prepare (export)",
    ]


def test_done_is_said_once(clock: list[float]) -> None:
    out = io.StringIO()
    with display(out) as shown:
        for _ in range(3):
            shown.show("a", ModelProgress("done"))
            clock[0] += 60
    assert out.getvalue() == "a: done\n"


def test_a_terminal_gets_bars_with_bytes_and_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    with display(out) as shown:
        shown.show("org/[m]", fetching(1 << 20))
    text = out.getvalue()
    assert "org/[m]" in text and "1.0/4.0 MiB" in text and "fetch" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 30, "3.00 GiB"),
        (5 << 40, "5120.00 GiB"),
    ],
)
def test_sizes_are_binary(count: int, text: str) -> None:
    assert size(count) == text
