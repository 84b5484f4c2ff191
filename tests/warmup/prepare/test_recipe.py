"""From a snapshot to a published folder: what is in it, when it is made again, when it is refused."""

import fcntl
import json
import pkgutil
import subprocess
from pathlib import Path

import onnxruntime
import pytest

from hf_lambda.onnx_engine import load
from tests.families import others_slow
from tests.warmup.prepare.conftest import prepared, requested
from warmup.prepare import RECIPE, NotPrepared, Tolerance, Unfinished, prepare


def test_a_prepared_folder_has_all_that_serving_reads_and_an_entry_for_the_manifest(snapshot, tmp_path):
    entry = prepared(snapshot, tmp_path)
    folder = Path(entry.path)
    assert folder.parent == tmp_path
    assert folder.name == (
        f"sequence-classification-auto-r{RECIPE}-ort{onnxruntime.__version__}-{entry.machine}"
    )
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "serving.json",
        "prepared.json",
    }
    assert set(entry.to_json()) == {
        *("head", "requested", "precision", "path", "machine", "onnxruntime", "recipe", "bytes"),
        *("seconds", "peak_mb", "agreement", "reason", "prepared_at", "memory_mb", "context"),
    }
    assert entry.precision == "int8"
    assert entry.reason is None
    assert entry.agreement["fp32"]["probability_difference"] <= 1e-4
    assert entry.agreement["int8"]["probability_difference"] <= 0.05
    assert entry.agreement["int8"]["same_labels"] == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}  # nothing of the work is left


def test_a_folder_that_is_there_is_not_made_again(snapshot, tmp_path):
    first = prepared(snapshot, tmp_path)
    steps: list[str] = []
    assert prepared(snapshot, tmp_path, progress=steps.append) == first
    assert steps == []


@pytest.mark.parametrize("name", others_slow(["model.onnx.data", "tokenizer.json"], "model.onnx.data"))
def test_a_damaged_folder_is_made_again(snapshot, tmp_path, name):
    entry = prepared(snapshot, tmp_path, precision="fp32")
    steps: list[str] = []
    path = Path(entry.path, name)
    path.write_bytes(path.read_bytes()[:-1])
    prepared(snapshot, tmp_path, precision="fp32", progress=steps.append)
    assert steps == ["export", "optimize", "check-fp32"]
    assert load("text-classification", Path(entry.path))(["ok"])


class Killed(BaseException):
    """Ends a run where it stands, as a signal does."""


@pytest.mark.parametrize(
    "number", [pytest.param(each, marks=() if each == 6 else pytest.mark.slow) for each in range(12)]
)
def test_a_run_that_was_killed_between_two_changes_is_finished_by_the_next(
    snapshot, tmp_path, monkeypatch, number
):
    """At every record that a step or the folder leaves, and at every folder that is removed or moved."""
    left = [number]

    def killing(function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in ("steps.replace_text", "steps.remove", "folder.publish", "recipe.shutil.rmtree"):
            path = f"warmup.prepare.{name}"
            patched.setattr(path, killing(pkgutil.resolve_name(path)))
        with pytest.raises(Killed):
            prepared(snapshot, tmp_path)
    entry = prepared(snapshot, tmp_path)
    assert load("text-classification", Path(entry.path))(["ok"])


def test_other_samples_are_another_check(snapshot, tmp_path):
    prepared(snapshot, tmp_path, precision="fp32")
    steps: list[str] = []
    entry = prepared(snapshot, tmp_path, precision="fp32", samples=("one", "two"), progress=steps.append)
    assert steps
    assert entry.agreement["fp32"]["samples"] == 2


def test_fp32_is_made_where_it_is_asked_for(snapshot, tmp_path):
    entry = prepared(snapshot, tmp_path, precision="fp32")
    assert (entry.precision, entry.reason) == ("fp32", None)
    assert "int8" not in entry.agreement


@pytest.mark.parametrize("precision", others_slow(["auto", "int8"], "auto"))
def test_int8_beyond_the_tolerance_is_published_as_fp32_with_the_reason(snapshot, tmp_path, precision):
    strict = Tolerance(probability=1e-9)
    entry = prepared(snapshot, tmp_path, precision=precision, tolerance=strict)
    assert entry.precision == "fp32"
    assert "a probability differs by" in str(entry.reason)
    assert entry.requested == precision


def test_fp32_that_disagrees_is_refused(snapshot, tmp_path):
    with pytest.raises(NotPrepared, match="onnxruntime and transformers disagree: fp32: raw_difference"):
        prepared(snapshot, tmp_path, tolerance=Tolerance(fp32=1e-12))
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_is_not_known_is_refused_with_those_that_are(tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(
        NotPrepared, match=r"gpt2 models are not prepared for text-classification; .*distilbert"
    ):
        prepared(tmp_path / "snapshot", tmp_path / "into")


def test_a_run_out_of_time_keeps_its_steps_and_the_next_goes_on(snapshot, tmp_path):
    steps: list[str] = []
    left = iter([100.0, 100.0, 0.0])
    with pytest.raises(Unfinished, match="no time left for the step 'check-fp32'"):
        prepared(snapshot, tmp_path, progress=steps.append, remaining_s=lambda: next(left))
    assert steps == ["export", "optimize"]
    entry = prepared(snapshot, tmp_path, progress=steps.append)
    assert steps == ["export", "optimize", "check-fp32", "quantize-0", "check-int8-0"]
    assert entry.precision == "int8"


def test_steps_of_another_plan_are_not_taken_over(snapshot, tmp_path):
    left = iter([100.0, 0.0])
    with pytest.raises(Unfinished):
        prepared(snapshot, tmp_path, remaining_s=lambda: next(left))
    steps: list[str] = []
    prepared(snapshot, tmp_path, samples=("one",), progress=steps.append)
    assert steps[0] == "export"


def test_two_runs_at_once_do_not_touch_each_other(snapshot, tmp_path):
    entry = prepared(snapshot, tmp_path)
    work = tmp_path / f".work-{Path(entry.path).name}"
    work.mkdir()
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unfinished, match="another run is preparing sequence-classification"):
            prepared(snapshot, tmp_path)


@pytest.mark.slow
def test_every_step_runs_in_a_process_of_its_own_unless_told_otherwise(snapshot, tmp_path, monkeypatch):
    steps, run = [], subprocess.run

    def watched(command, **options):
        steps.append(command[-1])
        return run(command, **options)

    monkeypatch.setattr("warmup.prepare.recipe.subprocess.run", watched)
    entry = prepare(requested(snapshot), into=tmp_path)
    assert steps == ["export", "optimize", "check-fp32", "quantize-0", "check-int8-0"]
    assert entry.precision == "int8"
    assert 100 < entry.peak_mb < 1500
