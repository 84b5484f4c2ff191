"""The Lambda: actions, progress file, answers, log."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hf_lambda.manifest import PreparedEntry, repo_folder
from tests.warmup.support import KEY, OTHER, SNAPSHOT_BYTES, TINY, Context, Warming
from warmup.worker.handler import handler

ROOT = Path(__file__).parents[3]
SCRIPT = """
from hf_lambda import endpoint, pipeline
run = pipeline("text-classification", model="org/other", engine="torch")
@endpoint
def handler(text: str):
    return run(text)
"""


def test_without_models_the_scripts_beside_it_are_warmed(warming: Warming, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "answer.py").write_text(SCRIPT)
    assert set(warming.invoke()["models"]) == {"org/other@main"}
    assert warming.manifest("org/other") is not None


def test_an_unknown_action_is_answered_with_the_known_ones(warming: Warming) -> None:
    answer = warming.invoke("frobnicate", TINY)
    assert answer["state"] == "failed"
    assert answer["error"] == {
        "kind": "usage",
        "message": "action: 'frobnicate' is not one of warm, plan, lacks, fetch, prepare, verify, try, "
        "prune, status",
    }


def test_a_malformed_model_is_answered_with_a_valid_one(warming: Warming) -> None:
    error = warming.invoke("warm", {"model": "../etc/passwd", "task": "x"})["error"]
    assert error["kind"] == "usage"
    assert '{"model": "org/name"' in error["message"]


def test_a_job_name_cannot_leave_its_folder(warming: Warming) -> None:
    error = warming.invoke("warm", TINY, job="../manifests/x")["error"]
    assert error["message"] == "job: '../manifests/x' is not a name. Use letters, digits, '.', '_' and '-'"


def test_the_last_state_of_a_job_is_kept_for_polling(warming: Warming) -> None:
    returned = warming.warm(job="my-job")
    polled = warming.invoke("status", jobs=["my-job"])["jobs"]["my-job"]
    assert 0 <= polled.pop("age_s") < 60
    polled.pop("heartbeat")
    assert polled == returned
    assert returned["models"][KEY]["result"]["bytes"] == SNAPSHOT_BYTES


def test_several_jobs_are_polled_at_once_and_one_that_never_was_is_unknown(warming: Warming) -> None:
    warming.warm(job="there")
    jobs = warming.invoke("status", jobs=["there", "not-there"])["jobs"]
    assert jobs["there"]["state"] == "done"
    assert jobs["not-there"] == {"state": "unknown"}


def test_fetch_downloads_and_publishes_nothing(warming: Warming) -> None:
    state = warming.invoke("fetch", TINY)
    assert state["models"][KEY]["result"]["bytes"] == SNAPSHOT_BYTES
    assert warming.manifest() is None
    assert len(warming.blobs()) == 3


def test_prepare_needs_a_warm_model_and_no_hub(warming: Warming, monkeypatch: pytest.MonkeyPatch) -> None:
    state = warming.invoke("prepare", TINY)
    assert state["models"][KEY]["error"]["message"] == "org/tiny@main is not in the cache: warm it first"
    warming.warm()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert warming.invoke("prepare", TINY)["state"] == "done"


def test_plan_says_which_files_are_cached_and_what_is_missing(warming: Warming) -> None:
    result = warming.invoke("plan", TINY)["models"][KEY]["result"]
    assert result["missing_bytes"] == result["bytes"] == SNAPSHOT_BYTES
    warming.warm()
    result = warming.invoke("plan", TINY)["models"][KEY]["result"]
    assert result["missing_bytes"] == 0 and all(file["cached"] for file in result["files"])


def test_verify_names_damage_and_changes_nothing(warming: Warming) -> None:
    assert warming.invoke("verify", TINY)["models"][KEY]["result"]["faults"][0]["fault"] == "is cold"
    warming.warm()
    assert warming.invoke("verify", TINY)["models"][KEY]["result"]["faults"] == []
    warming.file("config.json").write_text("{}")
    faults = warming.invoke("verify", TINY)["models"][KEY]["result"]["faults"]
    assert faults == [{"path": "config.json", "fault": "has 2 of 33 bytes"}]
    assert warming.file("config.json").read_text() == "{}"


def test_verify_hashes_prepared_folders_too(warming: Warming) -> None:
    warming.warm()
    path = f"prepared/{repo_folder('org/tiny')}/x/y"
    (warming.cache / path).mkdir(parents=True)
    entry = PreparedEntry("sequence-classification", "auto", "int8", path, "x86_64", "1.32.0")
    manifest = warming.cache / "manifests" / repo_folder("org/tiny") / "main.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "prepared": [entry.to_json()]}))
    faults = warming.invoke("verify", TINY)["models"][KEY]["result"]["faults"]
    assert faults == [{"path": path, "fault": "is not as it was published"}]


def test_status_lists_cold_warm_and_unused_models(warming: Warming) -> None:
    warming.warm(TINY, OTHER)
    answer = warming.invoke("status", TINY, {**TINY, "model": "org/cold"})
    warm, cold = answer["models"]
    assert warm["model"] == "org/tiny" and warm["files"] == 3 and warm["warmed_at"]
    assert cold == {"model": "org/cold", "revision": "main", "cold": True}
    assert [entry["model"] for entry in answer["unused"]] == ["org/other"]
    assert answer["free_bytes"] > 0


def test_a_fault_nobody_foresaw_is_in_the_log_with_its_id_and_does_not_end_the_run(
    warming: Warming, monkeypatch: pytest.MonkeyPatch, log
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr("warmup.worker.warm.fetch", fail)
    error = warming.warm()["models"][KEY]["error"]
    assert error["kind"] == "bug" and error["message"].startswith("KeyError: 'nothing' (id ")
    [line] = [line for line in log() if line["event"] == "bug"]
    assert line["id"] in error["message"] and "nothing" not in json.dumps(line)
    assert line["error"]["type"] == "KeyError" and line["error"]["frames"][-1].endswith(" fail")


def test_what_is_wrong_with_an_event_is_answered_and_not_logged(warming: Warming, log) -> None:
    answer = warming.invoke("warm", models=[{"model": "MARKER", "tusk": "MARKER"}], MARKER=1)
    assert answer["error"]["kind"] == "usage" and "MARKER" in answer["error"]["message"]
    assert "MARKER" not in json.dumps(log())


def test_the_log_is_one_json_object_per_event(warming: Warming, log) -> None:
    warming.warm()
    lines = log()
    # The tiny model has no weights that transformers could compare with a task's.
    wanted = ["began", "fetched", "fetched", "fetched", "weights not compared", "warm", "ended"]
    assert [line["event"] for line in lines] == wanted
    fetched = {line["path"]: line for line in lines if line["event"] == "fetched"}
    assert fetched["model.safetensors"]["bytes"] > 0 and fetched["model.safetensors"]["seconds"] >= 0


def test_the_handler_works_without_a_context(warming: Warming) -> None:
    assert handler({"action": "warm", "models": [TINY]}, None)["state"] == "done"


def test_time_running_out_between_two_models_keeps_the_first(warming: Warming) -> None:
    warming.context = Context(lambda: 900_000 if warming.manifest() is None else 0)
    state = warming.warm(TINY, OTHER)
    assert state["state"] == "incomplete"
    assert state["models"]["org/other@main"] == {"phase": "incomplete", "left": "everything"}
    assert warming.manifest("org/other") is None


def test_a_poll_pays_for_no_heavy_import(warming: Warming) -> None:
    heavy = {"torch", "transformers", "numpy", "onnxruntime", "huggingface_hub", "boto3", "rich"}
    code = (
        "import sys; from warmup.worker.handler import handler; "
        "handler({'action': 'status', 'jobs': ['x']}, None); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
