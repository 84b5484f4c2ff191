"""Processes in the background: remembered by pid and start time, ended with all their children."""

import json
import os
import signal
import subprocess
import sys

import pytest

from local import processes
from tests.local.functions_to_run import wait_for

SLEEPER = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"
PARENT = """
import pathlib, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], process_group=0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else signal.SIG_DFL)
pathlib.Path(sys.argv[1] + ".partial").write_text(str(child.pid))
pathlib.Path(sys.argv[1] + ".partial").rename(sys.argv[1])
signal.pause()
"""


@pytest.fixture
def begin(tmp_path):
    begun = []

    def start(code, *arguments, name="server"):
        ready = tmp_path / f"{name}.ready"
        record = tmp_path / f"{name}.json"
        command = [sys.executable, "-c", code, str(ready), *arguments]
        begun.append(processes.start(command, record=record, log=tmp_path / "log", cwd=tmp_path))
        wait_for(ready)
        return begun[-1], record, ready

    yield start
    for process in begun:
        processes.kill_session(process.pid)
        process.wait()


def test_a_process_is_found_again_by_its_record_and_ended(begin):
    process, record, _ = begin(SLEEPER)
    assert processes.stop(record)
    assert process.wait() == -signal.SIGTERM
    assert not record.exists()


def test_stopping_ends_children_in_groups_of_their_own(begin):
    _, record, ready = begin(PARENT, "polite")
    child = int(ready.read_text())
    assert processes.started(child)
    processes.stop(record)
    assert processes.started(child) is None


def test_a_process_that_does_not_end_when_asked_is_killed(begin, monkeypatch):
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    process, record, _ = begin(PARENT, "stubborn")
    assert processes.stop(record)
    assert process.wait() == -signal.SIGKILL


def test_a_recycled_pid_is_left_alone(begin):
    process, record, _ = begin(SLEEPER)
    record.write_text(json.dumps({"pid": process.pid, "started": "1"}))
    assert not processes.stop(record)
    assert process.poll() is None


def test_children_of_a_leader_that_was_killed_are_ended(begin):
    process, record, ready = begin(PARENT, "polite")
    child = int(ready.read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert processes.started(child)
    assert not processes.stop(record)
    assert processes.started(child) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1, "started": null}', '{"warmup": []}'])
def test_a_file_that_is_no_record_ends_nothing(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    assert not processes.stop(tmp_path / "x.json")


def test_a_missing_record_ends_nothing(tmp_path):
    assert not processes.stop(tmp_path / "x.json")


def test_a_process_that_has_ended_has_no_start_time():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert processes.started(process.pid) is None
