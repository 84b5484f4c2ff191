"""A step that dies, hangs or fails: what is said and what is kept. A script stands in for the interpreter."""

import sys

import pytest

from tests.warmup.prepare.conftest import requested
from warmup.prepare import NotPrepared, PrepareFailed, Unfinished
from warmup.prepare.outcome import Verdict
from warmup.prepare.recipe import StepRunner


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
    with pytest.raises(NotPrepared, match=r"'export' was killed \(signal 9\), most likely out of memory"):
        runner("kill -9 $$").run("export")


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


def test_a_step_has_no_stdin(runner, tmp_path):
    script = f"""cat > {tmp_path}/stdin; echo '{{"seconds": 1, "peak_mb": 1}}' > $work/$step.json"""
    runner(script).run("export")
    assert (tmp_path / "stdin").read_bytes() == b""


def test_a_step_that_takes_too_long_is_stopped_and_left_for_the_next_run(runner):
    with pytest.raises(Unfinished, match="'export' needs more than 0 s"):
        runner("exec sleep 60", lambda: 10.2).run("export")


def test_a_step_that_never_ends_is_refused_in_the_end(runner):
    for _ in range(3):
        with pytest.raises(Unfinished):
            runner("exec sleep 60", lambda: 10.05).run("export")
    with pytest.raises(NotPrepared, match="started 3 times and never ended: give the warm-up more memory"):
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


def test_a_step_gets_no_token_and_no_network(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    script = f"""env > {tmp_path}/env; echo '{{"seconds": 1, "peak_mb": 1}}' > $work/$step.json"""
    runner(script).run("export")
    given = (tmp_path / "env").read_text()
    assert "hf_secret" not in given
    assert "HF_HUB_OFFLINE=1" in given
