"""A damaged cache is a 503 with the command that repairs it, whatever the damage is."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil

import pytest

from hf_lambda import engines, integrity, pipeline
from hf_lambda.errors import DamagedCache, LoadFailed, ServingError
from hf_lambda.manifest import CachedFile, PreparedEntry

SMALL, LARGE = b'{"small": 1}', bytes(range(256)) * (4 * 1024 + 1)
FOLDER = "prepared/models--org--name/x/y"


def remove(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def folder(path):
    path.unlink()
    path.mkdir()


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = [remove, cut, flip, folder, loop, pipe]


@pytest.fixture(params=["torch", "onnx"])
def published(request, warm, cache, monkeypatch):
    """The folder that an endpoint loads from: a snapshot for torch, a prepared folder for onnxruntime."""
    monkeypatch.setattr(engines, "has_torch", lambda: True)
    monkeypatch.setattr(engines, "installed_onnxruntime", lambda: "1")
    contents = {"config.json": SMALL, "weights.bin": LARGE}
    if request.param == "torch":
        sha256 = hashlib.sha256(LARGE).hexdigest()
        git = hashlib.sha1(b"blob %d\0" % len(SMALL) + SMALL).hexdigest()
        files = (
            CachedFile("config.json", len(SMALL), None, git),
            CachedFile("weights.bin", len(LARGE), sha256, ""),
        )
        warm(files=files)
        snapshot = next((cache / "hub").glob("*/snapshots/*"))
    else:
        entry = PreparedEntry("sequence-classification", "auto", "fp32", FOLDER, platform.machine(), "1")
        warm(prepared=(entry,))
        snapshot = cache / FOLDER
        snapshot.mkdir(parents=True)
        hashes = {n: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in contents.items()}
        (snapshot / integrity.DOCUMENT).write_text(json.dumps({"files": hashes}))
    for name, content in contents.items():
        (snapshot / name).write_bytes(content)
    return snapshot


def ask():
    return pipeline("text-classification", model="org/name")("x")


def test_what_is_as_it_was_published_is_loaded(published, engine):
    assert ask() == [{"label": "x"}]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["config.json", "weights.bin"])
def test_a_damaged_file_is_named_with_the_command(published, engine, damage, name):
    damage(published / name)
    if (damage, name) == (flip, "weights.bin"):
        assert ask()  # of a large file the size alone is compared
        return
    with pytest.raises(DamagedCache, match=rf"{name} .*Warm it again: make warm STACK=test") as raised:
        ask()
    assert raised.value.status == 503
    assert engine.loads == []


def test_flipped_bytes_of_weights_that_keep_them_from_loading_are_found_by_hash(published, monkeypatch):
    def load(*_):
        raise OSError("a tensor is no tensor")

    monkeypatch.setattr(engines, "load", load)
    with pytest.raises(OSError, match="no tensor"):
        ask()
    flip(published / "weights.bin")
    with pytest.raises(DamagedCache, match=r"weights\.bin has another SHA-256"):
        ask()


def test_what_an_engine_loads_later_is_checked_too(published, engine):
    def results(items):
        raise LoadFailed("decoder.onnx")

    engine.results = results
    asked = pipeline("text-classification", model="org/name")
    with pytest.raises(LoadFailed):
        asked("x")
    flip(published / "weights.bin")
    with pytest.raises(DamagedCache):
        asked("x")
    flip(published / "weights.bin")  # as it was: repaired, and loaded anew
    engine.results = lambda items: ["fine"]
    assert asked("x") == "fine"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"files": {}}', '{"files": {"a": {}}}', "\xff"]
)
@pytest.mark.parametrize("published", ["onnx"], indirect=True)
def test_a_document_that_says_nothing_is_damage(published, engine, text):
    (published / integrity.DOCUMENT).write_text(text)
    with pytest.raises(DamagedCache, match=r"prepared\.json is"):
        ask()


WRONG = {
    "snapshot": 5,
    "commit": None,
    "bytes": "x",
    "files": [{"path": 1, "size": "x"}],
    "prepared": [{"head": "sequence-classification"}],
    "not_prepared": ["x"],
    "model": ["org/name"],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_manifest_of_a_wrong_shape_is_a_cold_cache(cache, warm, engine, field):
    warm()
    path = next((cache / "manifests").glob("*/main.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: WRONG[field]}))
    with pytest.raises(ServingError, match="Warm it") as raised:
        ask()
    assert raised.value.status == 503


@pytest.mark.parametrize("damage", [remove, folder, loop, cut])
def test_a_manifest_that_cannot_be_read_is_a_cold_cache(cache, warm, engine, damage):
    warm()
    damage(next((cache / "manifests").glob("*/main.json")))
    with pytest.raises(ServingError, match="Warm it"):
        ask()


def test_a_folder_that_is_gone_is_damage(published, engine):
    shutil.rmtree(published)
    with pytest.raises(ServingError, match="Warm it"):
        ask()
