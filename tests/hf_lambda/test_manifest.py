"""Manifests: what the warm-up publishes and inference reads."""

from __future__ import annotations

import json

import pytest

from hf_lambda.errors import ColdCache
from hf_lambda.manifest import (
    CachedFile,
    Manifest,
    NotPreparedEntry,
    manifest_path,
    read_manifest,
    repo_folder,
    write_manifest,
)

COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"


def manifest(**changes):
    fields = {
        "model": "org/name",
        "revision": "main",
        "commit": COMMIT,
        "snapshot": f"hub/models--org--name/snapshots/{COMMIT}",
        "files": (CachedFile("config.json", 2, None, "abc"),),
        "bytes": 2,
        "warmed_at": "2026-11-22T12:00:00Z",
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def cache(tmp_path):
    (tmp_path / manifest().snapshot).mkdir(parents=True)
    return tmp_path


def test_what_is_written_is_read_again(cache):
    path = write_manifest(cache, manifest())
    assert path == cache / "manifests/models--org--name/main.json"
    assert read_manifest(cache, "org/name", None) == manifest()
    assert read_manifest(cache, "org/name", "main").snapshot_path(cache).is_dir()
    assert [entry.name for entry in path.parent.iterdir()] == ["main.json"]


def test_a_reader_of_another_user_may_read_it(cache):
    assert write_manifest(cache, manifest()).stat().st_mode & 0o777 == 0o644


def test_a_revision_with_a_slash_is_one_file(cache):
    write_manifest(cache, manifest(revision="refs/pr/3"))
    assert manifest_path(cache, "org/name", "refs/pr/3").name == "refs%2Fpr%2F3.json"
    assert read_manifest(cache, "org/name", "refs/pr/3").revision == "refs/pr/3"


def test_a_model_without_organisation_has_a_folder_too():
    assert repo_folder("gpt2") == "models--gpt2"


@pytest.mark.parametrize("revision", [COMMIT, COMMIT[:7]])
def test_a_commit_is_found_under_the_name_that_warmed_it(cache, revision):
    write_manifest(cache, manifest())
    assert read_manifest(cache, "org/name", revision).commit == COMMIT


@pytest.mark.parametrize("revision", [None, "v2", "0000000", COMMIT[:6]])
def test_a_cold_cache_names_model_revision_and_command(cache, revision):
    write_manifest(cache, manifest(revision="v1"))
    with pytest.raises(ColdCache, match=f"org/name at {revision or 'main'} .* make warm STACK=dev"):
        read_manifest(cache, "org/name", revision, environ={"WARM_COMMAND": "make warm STACK=dev"})


def test_a_manifest_whose_snapshot_is_gone_counts_as_cold(tmp_path):
    write_manifest(tmp_path, manifest())
    with pytest.raises(ColdCache, match="Warm it: python -m warmup"):
        read_manifest(tmp_path, "org/name", None, environ={})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', json.dumps({"version": 2})])
def test_a_manifest_that_cannot_be_read_counts_as_cold(cache, text):
    path = write_manifest(cache, manifest())
    path.write_text(text)
    with pytest.raises(ColdCache):
        read_manifest(cache, "org/name", None, environ={})


def test_what_a_warm_up_of_this_version_wrote_before_is_read(cache):
    """The JSON of version 1, written out: a newer image has to read what lies on the file system."""
    prepared = {
        "head": "sequence-classification",
        "requested": "auto",
        "precision": "int8",
        "machine": "x86_64",
        "onnxruntime": "1.32.0",
        "recipe": 3,
        "bytes": 7,
        "peak_mb": 640,
        "agreement": {"int8": {"same_labels": 1.0}},
        "reason": None,
        "prepared_at": "2026-11-22T12:00:00+00:00",
        "seconds": 4.5,
        "path": "prepared/models--org--name/x/y",
    }
    refused = {"head": "masked-lm", "task": "fill-mask", "requested": "auto", "reason": "labels differ"}
    document = {
        "model": "org/name",
        "revision": "main",
        "commit": COMMIT,
        "snapshot": f"hub/models--org--name/snapshots/{COMMIT}",
        "files": [{"path": "config.json", "size": 2, "sha256": None, "blob_id": "abc"}],
        "bytes": 2,
        "warmed_at": "2026-11-22T12:00:00+00:00",
        "prepared": [prepared],
        "not_prepared": [refused],
        "version": 1,
    }
    path = manifest_path(cache, "org/name", None)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    read = read_manifest(cache, "org/name", None)
    assert read.files == (CachedFile("config.json", 2, None, "abc"),)
    assert (read.prepared[0].seconds, read.prepared[0].agreement) == (4.5, {"int8": {"same_labels": 1.0}})
    assert read.not_prepared == (NotPreparedEntry("masked-lm", "auto", "labels differ", "fill-mask"),)
    later = {"memory_mb": 0, "context": 0}
    assert read.to_json() == {**document, "prepared": [{**prepared, **later}]}


def test_keys_of_a_newer_warm_up_are_left_out(cache):
    path = write_manifest(cache, manifest())
    document = json.loads(path.read_text())
    document["files"][0]["colour"] = document["weather"] = "blue"
    path.write_text(json.dumps(document))
    assert read_manifest(cache, "org/name", None) == manifest()


def test_a_failed_write_leaves_the_old_manifest_and_no_rest(cache):
    path = write_manifest(cache, manifest())
    with pytest.raises(TypeError):
        write_manifest(cache, manifest(bytes=object()))
    assert read_manifest(cache, "org/name", None) == manifest()
    assert [entry.name for entry in path.parent.iterdir()] == ["main.json"]
