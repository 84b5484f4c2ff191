"""The progress file: beating while the work goes on, whole at any time."""

import json
import threading
from pathlib import Path

import pytest

from hf_lambda.atomic import replace_text
from warmup.errors import OutOfTime
from warmup.worker.jobs import MARGIN_SECONDS, Job, read_job


def test_the_file_is_there_at_once_and_beats_while_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.jobs.HEARTBEAT_SECONDS", 0.01)
    job = Job(tmp_path, "a", "warm", lambda: 900.0)
    path, pause = tmp_path / "jobs" / "a.json", threading.Event()
    with job.running():
        first = json.loads(path.read_text())["heartbeat"]
        while json.loads(path.read_text())["heartbeat"] == first:
            pause.wait(0.005)
        job.progress("m", phase="fetch", bytes_done=1)
    state = read_job(tmp_path, "a")
    assert state is not None and state["models"] == {"m": {"phase": "fetch", "bytes_done": 1}}
    assert state["age_s"] < 60


def test_the_deadline_leaves_a_margin(tmp_path: Path) -> None:
    job = Job(tmp_path, "a", "warm", lambda: MARGIN_SECONDS + 5)
    assert job.remaining_s() == 5
    job.check()
    with pytest.raises(OutOfTime):
        Job(tmp_path, "b", "warm", lambda: MARGIN_SECONDS - 1).check()


def test_a_job_that_never_was_is_none(tmp_path: Path) -> None:
    assert read_job(tmp_path, "nothing") is None


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_text(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hf_lambda.atomic.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_text(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"
