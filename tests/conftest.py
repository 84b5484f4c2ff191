"""What every test runs under."""

import gc
import hashlib
import io
import os
import subprocess
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest

# Tiny models gain nothing from a second thread; on a busy machine torch threads wait seconds for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests wait for processes, sockets and disks, too."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=float, default=1.0, help="run this share of the tests, drawn by --draw")
    parser.addoption("--draw", default="", help="another text draws other tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` the tests of a file, which share models and deployments, stay together.

    Not those over the real provider: each has an account of its own, and takes minutes.
    """
    provider = Path(__file__).with_name("provider")
    drawn: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        alone = provider in item.path.parents and item.path.name != "test_changes.py"
        if not alone:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        what = item.nodeid if alone else item.nodeid.partition("::")[0]
        (drawn if is_drawn(what, config.option.share, config.option.draw) else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = drawn


def is_drawn(what: str, share: float, draw: str) -> bool:
    """The same on every machine and in every process."""
    digest = hashlib.sha256(f"{draw} {what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end: the garbage collector need not walk it each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Compares weights here, not in a process that has to import all anew; the tasks that were asked for."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        from warmup.worker.untrained import main

        assert command[1:3] == ["-m", "warmup.worker.untrained"]
        asked.append(command[4:])
        with redirect_stdout(io.StringIO()) as said:
            main(command[3:])
        return subprocess.CompletedProcess(command, 0, said.getvalue(), "")

    here = SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr("warmup.worker.suitability.subprocess", here)
    return asked
