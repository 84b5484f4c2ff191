"""What every test runs under."""

import gc
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` the tests of a file, which share models and deployments, stay together.

    Not those over the real provider: each has an account of its own, and takes minutes.
    """
    provider = Path(__file__).with_name("provider")
    for item in items:
        if provider not in item.path.parents or item.path.name == "test_changes.py":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


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
