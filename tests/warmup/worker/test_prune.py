"""What a prune removes and, above all, what it leaves."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hf_lambda.manifest import PreparedEntry, repo_folder
from local.hub import Hub, serve
from tests.warmup.support import OTHER, TINY, WEIGHT_BYTES, Warming
from warmup.worker.locks import lock_if_free, lock_of_folder, repository_lock

FOLDER = repo_folder("org/tiny")


def prune(warming: Warming, *models: dict[str, Any], **event: object) -> dict[str, Any]:
    result: dict[str, Any] = warming.invoke("prune", *(models or (TINY,)), **event)["models"]["cache"][
        "result"
    ]
    return result


@pytest.fixture
def two_commits(warming: Warming, models: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Old and new commit of org/tiny, both in the cache; they share tokenizer and config."""
    warming.warm()
    old = warming.manifest()
    (models / "org" / "tiny" / "model.safetensors").write_bytes(b"new" * 1000)
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        warming.warm()
    monkeypatch.setenv("HF_ENDPOINT", warming.url)
    new = warming.manifest()
    assert old is not None and new is not None
    return old.commit, new.commit


def test_a_cache_in_use_loses_nothing(warming: Warming) -> None:
    warming.warm(TINY, OTHER)
    assert prune(warming, TINY, OTHER) == {"removed": [], "bytes": 0, "busy": []}


def test_an_old_commit_goes_with_the_blobs_that_it_alone_had(
    warming: Warming, two_commits: tuple[str, str]
) -> None:
    old, new = two_commits
    result = prune(warming)
    snapshots = warming.cache / "hub" / FOLDER / "snapshots"
    assert [path.name for path in snapshots.iterdir()] == [new]
    assert f"hub/{FOLDER}/snapshots/{old}" in result["removed"]
    assert result["bytes"] >= WEIGHT_BYTES
    assert len(warming.blobs()) == 3
    assert warming.invoke("verify", TINY)["state"] == "done"


def test_a_dry_run_says_the_same_and_removes_nothing(warming: Warming, two_commits: tuple[str, str]) -> None:
    before = sorted(warming.cache.rglob("*"))
    would = prune(warming, dry_run=True)
    assert sorted(path for path in warming.cache.rglob("*") if "jobs" not in path.parts) == [
        path for path in before if "jobs" not in path.parts
    ]
    assert prune(warming)["removed"] == would["removed"]


def test_a_model_that_no_script_uses_goes_whole(warming: Warming) -> None:
    warming.warm(TINY, OTHER)
    prune(warming, TINY)
    left = {
        path.name for parent in ("hub", "manifests") for path in (warming.cache / parent).glob("models--*")
    }
    assert left == {FOLDER}


def test_what_the_deployed_scripts_use_stays_whatever_the_caller_says(
    warming: Warming, tmp_path: Path
) -> None:
    warming.warm(TINY, OTHER)
    (tmp_path / "scripts" / "answer.py").write_text(
        'from hf_lambda import endpoint, pipeline\nrun = pipeline("text-classification", model="org/other")\n'
        "@endpoint\ndef handler(text: str): return run(text)\n"
    )
    prune(warming, TINY)
    assert warming.manifest("org/other") is not None


def test_what_endpoints_have_in_their_images_is_kept_for_nobody(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm(TINY)
    script = Path(os.environ["LAMBDA_TASK_ROOT"]) / "one.py"
    script.write_text(
        'from hf_lambda import endpoint, pipeline\nrun = pipeline("fill-mask", model="org/tiny")\n'
        "@endpoint\ndef handler(text: str): return run(text)\n"
    )
    monkeypatch.setenv("IN_IMAGE", "other,one")
    assert prune(warming, OTHER)["removed"]


def test_orphans_of_killed_runs_go(warming: Warming) -> None:
    warming.warm()
    orphan = warming.cache / "hub" / FOLDER / "blobs" / "abc.12345678.incomplete"
    orphan.write_bytes(b"half")
    assert prune(warming)["removed"] == [f"hub/{FOLDER}/blobs/{orphan.name}"]


def test_a_repository_that_a_live_run_works_on_is_left_alone_and_named(warming: Warming) -> None:
    warming.warm()
    orphan = warming.cache / "hub" / FOLDER / "blobs" / "abc.12345678.incomplete"
    orphan.write_bytes(b"half")
    with lock_if_free(lock_of_folder(warming.cache, FOLDER)):
        result = prune(warming)
    assert result == {"removed": [], "bytes": 0, "busy": ["org/tiny"]}
    assert orphan.exists()


def test_a_first_warm_up_that_is_not_done_keeps_what_it_has(warming: Warming) -> None:
    warming.invoke("fetch", TINY)
    assert prune(warming)["removed"] == []
    assert len(warming.blobs()) == 3


def test_prepared_folders_that_no_manifest_names_go_with_stale_work(warming: Warming) -> None:
    warming.warm()
    manifest = warming.manifest()
    assert manifest is not None
    commit = warming.cache / "prepared" / FOLDER / manifest.commit
    for name in ("head-auto-r1", "head-auto-r0", ".work-head-auto-r2", ".stale-x"):
        (commit / name).mkdir(parents=True)
    (warming.cache / "prepared" / FOLDER / ("0" * 40)).mkdir()
    path = warming.cache / "manifests" / FOLDER / "main.json"
    folder = str((commit / "head-auto-r1").relative_to(warming.cache))
    entry = PreparedEntry("sequence-classification", "auto", "int8", folder, "x86_64", "1.32.0").to_json()
    path.write_text(json.dumps({**json.loads(path.read_text()), "prepared": [entry]}))
    prune(warming)
    assert [path.name for path in (warming.cache / "prepared" / FOLDER).iterdir()] == [manifest.commit]
    assert [path.name for path in commit.iterdir()] == ["head-auto-r1"]


def test_only_restricts_to_one_repository(warming: Warming) -> None:
    warming.warm(TINY, OTHER)
    for model in ("org/tiny", "org/other"):
        (warming.cache / "hub" / repo_folder(model) / "blobs" / "a.1.incomplete").touch()
    result = prune(warming, TINY, OTHER, only="org/other")
    assert result["removed"] == ["hub/models--org--other/blobs/a.1.incomplete"]


def test_jobs_of_last_week_go(warming: Warming) -> None:
    warming.warm(job="old")
    warming.warm(job="new")
    path = warming.cache / "jobs" / "old.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "heartbeat": time.time() - 8 * 86400}))
    (warming.cache / "jobs" / ".torn").write_text("")
    os.utime(warming.cache / "jobs" / ".torn", (0, 0))
    assert prune(warming)["removed"] == ["jobs/.torn", "jobs/old.json"]


def test_the_lock_of_a_model_is_named_after_its_repository(tmp_path: Path) -> None:
    assert repository_lock(tmp_path, "org/tiny") == tmp_path / "locks" / "models--org--tiny.lock"


UNSEEN = ["inference/x.py:3: spacy may load models"]


def test_what_a_script_may_load_unseen_is_kept(warming: Warming, two_commits: tuple[str, str]) -> None:
    warming.warm(OTHER)
    orphan = warming.cache / "hub" / FOLDER / "blobs" / "x.incomplete"
    orphan.write_text("part")
    result = prune(warming, unseen=UNSEEN)
    assert result["removed"] == [str(orphan.relative_to(warming.cache))]
    assert result["unseen"] == UNSEEN
    assert {path.name for path in (warming.cache / "hub" / FOLDER / "snapshots").iterdir()} == {*two_commits}
    assert warming.invoke("verify", OTHER)["state"] == "done"


def test_force_removes_it_all_the_same(warming: Warming, two_commits: tuple[str, str]) -> None:
    result = prune(warming, unseen=UNSEEN, force=True)
    assert f"hub/{FOLDER}/snapshots/{two_commits[0]}" in result["removed"] and "unseen" not in result


def test_a_deployed_script_that_loads_unseen_keeps_it_though_the_command_knows_of_none(
    warming: Warming, two_commits: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "task"
    scripts.mkdir()
    (scripts / "x.py").write_text("import spacy\n\n\ndef handler(event, context):\n    return 1\n")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(scripts))
    result = prune(warming)
    assert result["removed"] == [] and "task/x.py:1: spacy" in result["unseen"][0]


def test_the_next_warm_up_removes_what_a_killed_one_left_beside_jobs_and_files(warming: Warming) -> None:
    warming.warm()
    missing = warming.cache / "hub" / FOLDER / ".no_exist" / ("a" * 40)
    missing.mkdir(parents=True)
    (missing / "adapter_config.json").touch()
    half, fresh = (warming.cache / "jobs" / f".x.json.{name}" for name in ("killed", "written-now"))
    half.write_text('{"state": "run')
    os.utime(half, (1, 1))
    fresh.touch()
    warming.warm()
    assert not missing.parent.exists()
    assert [half.exists(), fresh.exists()] == [False, True]
