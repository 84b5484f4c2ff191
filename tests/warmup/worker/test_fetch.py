"""Downloading into the Hub's cache layout, with everything that can go wrong on the way."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.hub import Hub, serve
from local.hub.responses import json_response
from tests.warmup.support import KEY, SNAPSHOT_BYTES, TINY, Warming, model_folder

WEIGHTS = "*/model.safetensors"


def test_a_snapshot_is_what_the_real_client_would_have_left(warming: Warming, models: Path) -> None:
    warming.warm()
    manifest = warming.manifest()
    assert manifest is not None
    snapshot = warming.cache / manifest.snapshot
    names = {"config.json", "tokenizer.json", "model.safetensors"}
    assert {path.name for path in snapshot.iterdir()} == names
    for name in names:
        assert (snapshot / name).read_bytes() == (models / "org" / "tiny" / name).read_bytes()
        assert (snapshot / name).is_symlink()


def test_a_second_run_asks_for_the_commit_and_for_nothing_else(warming: Warming) -> None:
    warming.warm()
    warming.asked()
    warming.warm()
    assert warming.asked() == [("GET", "/api/models/org/tiny")]


def test_a_model_that_is_pinned_by_its_commit_and_there_needs_no_hub(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm()
    commit = warming.manifest().commit  # type: ignore[union-attr]
    pinned = {**TINY, "revision": commit}
    warming.warm(pinned)
    warming.asked()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert warming.warm(pinned)["state"] == "done"
    assert warming.invoke("plan", pinned)["state"] == "done"
    assert warming.asked() == []


def test_a_pinned_model_that_lost_a_file_asks_for_that_file_alone(warming: Warming) -> None:
    warming.warm()
    pinned = {**TINY, "revision": warming.manifest().commit}  # type: ignore[union-attr]
    warming.warm(pinned)
    path = warming.file("config.json")
    path.resolve().unlink()
    warming.asked()
    assert warming.warm(pinned)["state"] == "done"
    assert {asked.rsplit("/")[-1] for _, asked in warming.asked()} == {"config.json"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '[{"path": 3}]', "[3]"])
def test_a_list_of_files_that_makes_no_sense_is_asked_for_again(warming: Warming, text: str) -> None:
    warming.warm()
    [tree] = (warming.cache / "trees").rglob("*.json")
    good = tree.read_text()
    tree.write_text(text)
    assert warming.warm()["state"] == "done"
    assert tree.read_text() == good


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_truncated_cached_file_is_found_and_fetched_again(
    warming: Warming, models: Path, name: str
) -> None:
    warming.warm()
    path = warming.file(name)
    path.write_bytes(path.read_bytes()[:-7])
    assert warming.warm()["state"] == "done"
    assert path.read_bytes() == (models / "org" / "tiny" / name).read_bytes()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_corrupted_cached_file_is_found_and_fetched_again(
    warming: Warming, models: Path, name: str
) -> None:
    warming.warm()
    path = warming.file(name)
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    warming.asked()
    assert warming.warm()["state"] == "done"
    assert path.read_bytes() == (models / "org" / "tiny" / name).read_bytes()
    assert {path.rsplit("/", 1)[1] for _, path in warming.asked() if "resolve" in path} == {name}


def test_a_real_file_in_place_of_a_pointer_is_verified_and_replaced(warming: Warming, models: Path) -> None:
    warming.warm()
    path = warming.file("model.safetensors")
    path.unlink()
    path.write_bytes(b"not the weights")
    assert warming.warm()["state"] == "done"
    assert path.read_bytes() == (models / "org" / "tiny" / "model.safetensors").read_bytes()


def test_a_pointer_astray_is_set_right_without_touching_where_it_led(warming: Warming) -> None:
    warming.warm()
    path, other = warming.file("config.json"), warming.file("tokenizer.json")
    path.unlink()
    path.symlink_to(other.readlink())
    assert warming.warm()["state"] == "done"
    assert json.loads(path.read_text())["model_type"] == "bert"
    assert other.read_text() == "{}"


@pytest.mark.parametrize("fault", ["corrupt", "truncate", "drop"])
def test_a_file_damaged_on_its_way_is_fetched_again(
    warming: Warming, models: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    warming.hub.fail(WEIGHTS, fault)
    assert warming.warm()["state"] == "done"
    there = warming.file("model.safetensors").read_bytes()
    assert there == (models / "org" / "tiny" / "model.safetensors").read_bytes()


def test_a_damaged_cached_file_does_not_use_up_a_transfer(warming: Warming) -> None:
    warming.warm()
    path = warming.file("model.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    warming.hub.fail(WEIGHTS, "corrupt", times=2)
    assert warming.warm()["state"] == "done"


def test_a_file_damaged_every_time_is_named_and_nothing_is_published(warming: Warming) -> None:
    warming.hub.fail(WEIGHTS, "corrupt", times=9)
    error = warming.error()
    assert error["kind"] == "damaged"
    assert error["message"].startswith(
        "org/tiny/model.safetensors has another SHA-256 than it should, 3 times"
    )
    assert warming.manifest() is None
    assert not [name for name in warming.blobs() if len(name) == 64]


def test_too_little_space_is_said_with_both_numbers_before_anything_is_fetched(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    error = warming.error()
    assert error["kind"] == "disk full"
    assert f"org/tiny needs {SNAPSHOT_BYTES:,} more bytes" in error["message"]
    assert "has 1,000 free" in error["message"] and "python -m warmup prune" in error["message"]
    assert not any("resolve" in path for _, path in warming.asked())


def test_the_disk_filling_up_on_the_way_is_told_apart(
    warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download._chmod_and_move", full)
    error = warming.error()
    assert error["kind"] == "disk full"
    assert "the cache's disk is full" in error["message"]


def test_files_that_two_commits_share_are_downloaded_once(
    warming: Warming, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming.warm()
    (models / "org" / "tiny" / "config.json").write_text('{"model_type": "bert", "new": 1}')
    # Room for the changed file alone: a shared one takes none.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        assert warming.warm()["state"] == "done"
        bodies = [
            entry.path for entry in running.hub.asked if entry.method == "GET" and "resolve" in entry.path
        ]
    assert [path.rsplit("/", 1)[1] for path in bodies] == ["config.json"]


def test_a_sharded_model_follows_the_index_that_was_downloaded(
    warming: Warming, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder(models / "org" / "big", seed=3)
    (folder / "model.safetensors").unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    stale = "model-00001-of-00001.safetensors"
    for name in (*shards, stale):
        (folder / name).write_bytes(name.encode() * 1000)
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with serve(Hub(models)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        warming.warm({**TINY, "model": "org/big"})
    manifest = warming.manifest("org/big")
    assert manifest is not None
    names = {file.path for file in manifest.files}
    assert names == {"config.json", "tokenizer.json", "model.safetensors.index.json", *shards}


def test_progress_counts_the_bytes_of_this_model(warming: Warming) -> None:
    progress = warming.warm()["models"][KEY]
    assert progress["bytes_done"] == progress["bytes_total"] == SNAPSHOT_BYTES
    assert progress["files_total"] == 3


@pytest.mark.parametrize("lasts", [1, 2])
def test_a_tree_that_was_wrong_is_not_kept(warming: Warming, hub: Hub, impatient: None, lasts: int) -> None:
    listed = {"type": "file", "oid": "0" * 40, "size": 33, "path": "config.json"}
    weights = {**listed, "path": "model.safetensors"}
    hub.fail("/api/models/org/tiny/tree/*", json_response([listed, weights]), lasts)
    for _ in range(lasts):
        assert warming.error()["kind"] in ("damaged", "no tokenizer")
    assert warming.warm()["state"] == "done"


@pytest.mark.parametrize("change", [("oid", "=" * 40), ("oid", "0" * 40), ("size", 5), ("path", "../x")])
def test_a_kept_tree_that_is_damaged_is_asked_for_anew(warming: Warming, change: tuple[str, object]) -> None:
    warming.warm()
    [kept] = (warming.cache / "trees").rglob("*.json")
    tree = json.loads(kept.read_text())
    entry = next(each for each in tree["files"] if each["path"] == "config.json")
    entry[change[0]] = change[1]
    kept.write_text(json.dumps(tree))
    assert warming.warm()["state"] == "done"
    assert warming.file("config.json").is_file()
