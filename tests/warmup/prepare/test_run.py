"""A step that dies, hangs or fails: what is said and what is kept. A script stands in for the interpreter."""

import os
import shutil
import sys
from types import SimpleNamespace

import pytest

from tests.warmup.prepare.conftest import requested
from warmup.prepare import NotPrepared, PrepareFailed, Unfinished
from warmup.prepare.recipe import StepRunner
from warmup.prepare.request import Verdict
from warmup.protocol.errors import ErrorKind


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """`runner(script, remaining_s)`: steps are run by the shell script."""

    def make(script: str, remaining_s=None) -> StepRunner:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        shell = tmp_path / "interpreter"
        shell.write_text(f"#!/bin/sh\nwork=$3 step=$4\n{script}\n")
        shell.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(shell))
        return StepRunner(requested(tmp_path), work, lambda step: None, remaining_s, isolated=True)

    return make


def test_a_step_that_is_killed_is_refused_with_the_way_out(runner):
    killed = r"the step 'export' was killed \(signal 9\), most likely out of memory"
    with pytest.raises(PrepareFailed, match=killed) as caught:
        runner("kill -9 $$").run("export")
    assert caught.value.kind is ErrorKind.OUT_OF_MEMORY


def test_a_step_that_fails_is_refused_with_its_last_line(runner):
    with pytest.raises(NotPrepared, match="'export' failed: ValueError: no such thing"):
        runner("echo Traceback; echo 'ValueError: no such thing' >&2; exit 1").run("export")


@pytest.mark.parametrize(
    ("last", "of_the_machine"),
    [
        ("OSError: [Errno 28] No space left on device", True),
        ("MemoryError", True),
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("ValueError: no such thing", False),
        ("KeyError: 'weight'", False),
    ],
)
def test_what_the_machine_lacked_is_told_from_what_the_model_is(runner, last, of_the_machine):
    with pytest.raises(NotPrepared, match="'export' failed: ") as raised:
        runner(f'echo "{last}" >&2; exit 1').run("export")
    assert isinstance(raised.value, PrepareFailed) is of_the_machine


def test_a_step_that_is_killed_says_nothing_of_the_model(runner):
    with pytest.raises(PrepareFailed):
        runner("kill -9 $$").run("export")


@pytest.mark.parametrize("written", ["", "x", "-1", "\xff", "12345678901234567890"])
def test_a_count_of_attempts_that_makes_no_sense_is_none(runner, tmp_path, written):
    made = runner("""echo '{"seconds": 1, "peak_mb": 1}' > $work/$step.json""")
    (tmp_path / "work" / "export.attempts").write_bytes(written.encode("latin-1"))
    made.run("export")
    assert (tmp_path / "work" / "export.attempts").read_text() == "1"


def test_a_step_that_takes_too_long_is_stopped_and_left_for_the_next_run(runner):
    with pytest.raises(Unfinished, match="'export' needs more than 0 s"):
        runner("exec sleep 60", lambda: 10.2).run("export")


def test_a_step_that_never_ends_is_refused_in_the_end(runner):
    for _ in range(3):
        with pytest.raises(Unfinished):
            runner("exec sleep 60", lambda: 10.05).run("export")
    with pytest.raises(PrepareFailed, match="started 3 times and never ended: give the warm-up more memory"):
        runner("exec sleep 60", lambda: 10.05).run("export")
    with pytest.raises(Unfinished):  # the next warm-up may have more of it
        runner("exec sleep 60", lambda: 10.05).run("export")


def test_what_a_step_refuses_is_refused(runner):
    script = """echo '{"not_prepared": "a reason", "seconds": 1, "peak_mb": 5}' > $work/$step.json"""
    with pytest.raises(NotPrepared, match="a reason"):
        runner(script).run("export")


def test_a_step_that_is_done_is_not_run_again(runner):
    script = (
        """echo '{"verdict": {"figures": {"a": 1}}, "seconds": 2.5, "peak_mb": 700}' > $work/$step.json"""
    )
    assert runner(script).check("export") == Verdict({"a": 1})
    again = runner("exit 1")
    assert again.check("export") == Verdict({"a": 1})
    assert (again.peak_mb(), again.seconds()) == (700, 2.5)


def test_what_a_step_says_last_is_kept_where_the_disk_is_full(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    script = "echo 'RuntimeError: cannot write' >&2; exit 1"
    with pytest.raises(PrepareFailed, match="'export' failed: RuntimeError: cannot write") as caught:
        runner(script).run("export")
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list((tmp_path / "work").iterdir()) == []  # no log


def test_a_step_that_leaves_nothing_is_refused(runner):
    with pytest.raises(NotPrepared, match="the step 'export' ended and left no record"):
        runner("exit 0").run("export")


def test_what_a_step_lacked_is_raised_and_not_kept(runner, tmp_path):
    record = '{"error": {"kind": "out of memory", "message": "too large"}, "seconds": 1, "peak_mb": 5}'
    with pytest.raises(PrepareFailed, match="too large") as caught:
        runner(f"echo '{record}' > $work/$step.json").run("export")
    assert caught.value.kind is ErrorKind.OUT_OF_MEMORY
    assert list((tmp_path / "work").iterdir()) == []


def test_a_step_can_ask_nobody(runner, tmp_path, monkeypatch):
    """Not even where the warm-up itself has a terminal: transformers asks whether to run foreign code."""
    answer = tmp_path / "answer"
    answer.write_text("y\n")
    script = f"""cat > {tmp_path}/heard; echo '{{"seconds": 1, "peak_mb": 1}}' > $work/$step.json"""
    with answer.open() as file:
        keyboard = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            runner(script).run("export")
        finally:
            os.dup2(keyboard, 0)
            os.close(keyboard)
    assert (tmp_path / "heard").read_text() == ""


def test_a_step_gets_no_token_and_no_network(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    script = f"""env > {tmp_path}/env; echo '{{"seconds": 1, "peak_mb": 1}}' > $work/$step.json"""
    runner(script).run("export")
    given = (tmp_path / "env").read_text()
    assert "hf_secret" not in given
    assert "HF_HUB_OFFLINE=1" in given
