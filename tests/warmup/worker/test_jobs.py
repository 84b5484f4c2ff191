"""The progress file: beating while the work goes on, whole at any time."""

import json
import os
import threading
from pathlib import Path

import pytest

from warmup.protocol.answers import JobState, JobStatus, ModelProgress
from warmup.protocol.events import Action
from warmup.worker.jobs import MARGIN_SECONDS, Job, OutOfTime, read_job, recorded


def job_of(remaining_s: float = 900.0) -> Job:
    return Job("a", Action.WARM, lambda: remaining_s)


def test_the_file_is_there_at_once_and_beats_while_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.jobs.HEARTBEAT_SECONDS", 0.01)
    job = job_of()
    with recorded(job, tmp_path):
        first = _heartbeat(tmp_path)
        _wait_for_another_beat(tmp_path, first)
        job.progress("m", phase="fetch", bytes_done=1)
        job.end(JobStatus.DONE)
    state = read_job(tmp_path, "a")
    assert (state.status, state.models) == (JobStatus.DONE, {"m": ModelProgress("fetch", bytes_done=1)})
    assert state.age_s is not None and state.age_s < 60


def test_the_deadline_leaves_a_margin() -> None:
    job = job_of(MARGIN_SECONDS + 5)
    assert job.remaining_s() == 5
    job.check()
    with pytest.raises(OutOfTime):
        job_of(MARGIN_SECONDS - 1).check()


def test_a_job_that_never_was_is_unknown(tmp_path: Path) -> None:
    assert read_job(tmp_path, "nothing") == JobState(JobStatus.UNKNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"state": "flying"}',
        '{"state": "done", "models": [1]}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_a_job_file_that_makes_no_sense_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.json").write_bytes(text.encode(errors="surrogateescape"))
    assert read_job(tmp_path, "a") == JobState(JobStatus.UNKNOWN)


def test_a_disk_that_is_full_for_a_while_does_not_end_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.jobs.HEARTBEAT_SECONDS", 0.01)
    full, refused, fsync = threading.Event(), threading.Event(), os.fsync

    def write_out(descriptor: int) -> None:
        if full.is_set():
            refused.set()
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("hf_lambda.atomic.os.fsync", write_out)
    job = job_of()
    with recorded(job, tmp_path):
        full.set()
        assert refused.wait(10)
        last = _heartbeat(tmp_path)
        full.clear()
        _wait_for_another_beat(tmp_path, last)


def test_the_last_state_takes_the_place_of_the_one_before_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fsync = tmp_path / "jobs" / "a.json", os.fsync

    def write_out(descriptor: int) -> None:
        if path.exists():
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("hf_lambda.atomic.os.fsync", write_out)
    job = job_of()
    with recorded(job, tmp_path):
        job.end(JobStatus.FAILED)
    assert read_job(tmp_path, "a").status is JobStatus.FAILED


def _heartbeat(cache: Path) -> float:
    return float(json.loads((cache / "jobs" / "a.json").read_text())["heartbeat"])


def _wait_for_another_beat(cache: Path, last: float) -> None:
    pause = threading.Event()
    while _heartbeat(cache) == last:
        pause.wait(0.005)
