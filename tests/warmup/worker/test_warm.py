"""One model from nothing to published: what is written, what survives an interruption, two at once."""

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hf_lambda.errors import ColdCache
from hf_lambda.manifest import read_manifest
from local.hub import Hub, Stall, serve
from tests.warmup.support import KEY, OTHER, SNAPSHOT_BYTES, TINY, WEIGHT_BYTES, Context, Warming, run
from warmup.worker.locks import lock_if_free

WEIGHTS = "*/model.safetensors"
ROOT = Path(__file__).parents[3]


def commit_again(models: Path) -> str:
    """A new commit of org/tiny: other weights."""
    weights = b"new" * (WEIGHT_BYTES // 3)
    (models / "org" / "tiny" / "model.safetensors").write_bytes(weights)
    return weights.hex()[:6]


def test_inference_reads_what_the_warm_up_published(warming: Warming) -> None:
    warming.warm()
    manifest = read_manifest(warming.cache, "org/tiny", None)
    assert manifest.snapshot == f"hub/models--org--tiny/snapshots/{manifest.commit}"
    assert manifest.snapshot_path(warming.cache).is_dir()
    assert manifest.bytes == SNAPSHOT_BYTES == sum(file.size for file in manifest.files)
    entries = {file.path: file for file in manifest.files}
    assert len(entries["model.safetensors"].sha256 or "") == 64
    assert entries["config.json"].sha256 is None and len(entries["config.json"].blob_id) == 40


def test_the_ref_that_plain_scripts_need_is_written_under_the_name_they_use(warming: Warming) -> None:
    warming.warm()
    refs = warming.cache / "hub" / "models--org--tiny" / "refs"
    manifest = warming.manifest()
    assert manifest is not None
    assert [path.name for path in refs.iterdir()] == ["main"]
    assert (refs / "main").read_text() == manifest.commit


def test_a_pinned_commit_has_no_ref(warming: Warming) -> None:
    warming.warm()
    commit = warming.manifest().commit  # type: ignore[union-attr]
    warming.invoke("prune", OTHER)
    warming.warm({**TINY, "revision": commit})
    assert read_manifest(warming.cache, "org/tiny", commit).commit == commit
    assert not (warming.cache / "hub" / "models--org--tiny" / "refs").exists()


def test_a_new_commit_replaces_the_old_one_only_when_it_is_whole(warming: Warming, models: Path) -> None:
    warming.warm()
    old = warming.manifest()
    commit_again(models)
    with serve(Hub(models)) as running:
        running.hub.fail(WEIGHTS, "corrupt", times=9)
        os.environ["HF_ENDPOINT"] = running.url
        assert warming.error()["kind"] == "damaged"
        assert warming.manifest() == old
        assert (warming.cache / "hub" / "models--org--tiny" / "refs" / "main").read_text() == old.commit  # type: ignore[union-attr]
        running.hub.faults.clear()
        warming.warm()
    new = warming.manifest()
    assert new is not None and old is not None and new.commit != old.commit


def test_two_runs_at_once_download_once(warming: Warming) -> None:
    stall = Stall()
    warming.hub.fail(WEIGHTS, stall)
    first, first_states = run(warming.warm)
    assert stall.reached.wait(10)
    waits = threading.Event()
    second, second_states = run(_warm_and_tell, warming, waits)
    assert waits.wait(10)
    stall.release.set()
    first.join(10)
    second.join(10)
    assert [state["state"] for state in (*first_states, *second_states)] == ["done", "done"]
    bodies = [
        path for method, path in warming.asked() if method == "GET" and path.endswith("model.safetensors")
    ]
    assert len(bodies) == 1


def _warm_and_tell(warming: Warming, waits: threading.Event) -> dict[str, Any]:
    """Warm, setting `waits` when the job's file says that it waits for the lock."""
    threading.Thread(target=_watch, args=(warming, waits), daemon=True).start()
    return warming.warm(job="second")


def _watch(warming: Warming, waits: threading.Event) -> None:
    path, pause = warming.cache / "jobs" / "second.json", threading.Event()
    while not waits.is_set():
        if path.is_file() and json.loads(path.read_text())["models"].get(KEY, {}).get("phase") == "wait":
            waits.set()
        pause.wait(0.02)


def test_the_deadline_stops_a_stalled_download_cleanly_and_the_next_run_ends_it(warming: Warming) -> None:
    stall = Stall()
    warming.hub.fail(WEIGHTS, stall)
    warming.context = Context(lambda: 0 if stall.reached.is_set() else 900_000)
    state = warming.warm()
    assert state["state"] == "incomplete"
    assert state["models"][KEY]["phase"] == "incomplete"
    progress = state["models"][KEY]
    done = progress.get("bytes_done", 0)  # left out where nothing has come yet
    assert progress["left"] == f"fetch: {progress['bytes_total'] - done:,} bytes"
    assert done < progress["bytes_total"]
    assert warming.manifest() is None
    with pytest.raises(ColdCache):
        read_manifest(warming.cache, "org/tiny", None)
    stall.release.set()
    warming.context = Context()
    assert warming.warm()["state"] == "done"


def test_a_lock_of_the_client_that_a_frozen_lambda_still_holds_stops_nobody(
    warming: Warming, models: Path
) -> None:
    weights = (models / "org" / "tiny" / "model.safetensors").read_bytes()
    locks = warming.cache / "hub" / ".locks" / "models--org--tiny"
    locks.mkdir(parents=True)
    with lock_if_free(locks / f"{hashlib.sha256(weights).hexdigest()}.lock") as held:
        assert held
        assert warming.warm()["state"] == "done"


def test_no_time_at_all_leaves_everything_to_the_next_run(warming: Warming) -> None:
    warming.context = Context(5_000)
    assert warming.warm(TINY, OTHER)["state"] == "incomplete"
    assert warming.asked() == []


KILLED = """
import os, sys
from warmup.worker.handler import handler
from tests.warmup.support import TINY, Context
handler({"action": "warm", "models": [TINY], "job": "killed"}, Context())
"""


@pytest.mark.parametrize("warm_before", [False, True], ids=["cold cache", "warm cache"])
def test_a_run_killed_midway_leaves_the_old_state_and_an_orphan_that_the_next_run_removes(
    warming: Warming, models: Path, warm_before: bool
) -> None:
    if warm_before:
        warming.warm()
        commit_again(models)
    before = warming.manifest()
    stall = Stall()
    with serve(Hub(models)) as running:
        running.hub.fail(WEIGHTS, stall)
        environ = {**os.environ, "HF_ENDPOINT": running.url, "PYTHONPATH": f"{ROOT}:{ROOT / 'inference'}"}
        victim = subprocess.Popen(
            [sys.executable, "-c", KILLED], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL
        )
        assert stall.reached.wait(60)
        _wait_for_orphan(warming)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        assert warming.manifest() == before
        orphans = {name for name in warming.blobs() if name.endswith(".incomplete")}
        assert orphans
        stall.release.set()
        os.environ["HF_ENDPOINT"] = running.url
        assert warming.warm()["state"] == "done"
    assert not {name for name in warming.blobs() if name.endswith(".incomplete")}
    there = warming.file("model.safetensors").read_bytes()
    assert there == (models / "org" / "tiny" / "model.safetensors").read_bytes()


def _wait_for_orphan(warming: Warming) -> None:
    pause = threading.Event()
    while not any(name.endswith(".incomplete") for name in warming.blobs()):
        pause.wait(0.02)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error_and_nothing_takes_their_place(
    warming: Warming, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    error = warming.error()
    assert error["kind"] == "no locks"
    assert f"cannot be locked ({os.strerror(code)})" in error["message"]
    assert warming.manifest() is None
