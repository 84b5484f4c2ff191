"""coldDownload: the first request fetches, once, and leaves a manifest."""

from __future__ import annotations

import threading

import huggingface_hub
import pytest

from serving import cold
from serving.cache import manifest_path, read_manifest
from serving.errors import ColdCache

COMMIT = "a" * 40


@pytest.fixture
def hub(monkeypatch):
    """What was downloaded; stands for the Hub, which other tests speak to over HTTP."""
    calls = []

    def snapshot_download(model, *, revision, cache_dir, allow_patterns, ignore_patterns):
        calls.append((model, revision, tuple(allow_patterns)))
        snapshot = cache_dir / "models--org--name" / "snapshots" / COMMIT
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot / "config.json").write_text("{}")
        return str(snapshot)

    names = ["config.json", "model.safetensors", "pytorch_model.bin"]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *given, **how: list(names))
    return calls, names


def test_the_model_is_fetched_and_its_manifest_published(tmp_path, hub):
    manifest = cold.download(tmp_path, "org/name", None, {})
    assert read_manifest(tmp_path, "org/name", None) == manifest
    assert (manifest.commit, manifest.bytes) == (COMMIT, 2)
    assert manifest.files == [{"path": "config.json", "size": 2, "sha256": None, "blob_id": "config.json"}]


@pytest.mark.parametrize(
    ("left_out", "weights"), [("", "model*.safetensors"), ("model.safetensors", "pytorch_model*.bin")]
)
def test_one_weight_format_is_fetched_safetensors_first(tmp_path, hub, left_out, weights):
    calls, names = hub
    names[:] = [name for name in names if name != left_out]
    cold.download(tmp_path, "org/name", "main", {})
    assert [pattern for pattern in calls[0][2] if "model*" in pattern] == [weights]


def test_cold_starts_side_by_side_fetch_once(tmp_path, hub):
    calls, _ = hub
    barrier = threading.Barrier(4)

    def start():
        barrier.wait()
        cold.download(tmp_path, "org/name", None, {})

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_an_image_without_the_client_says_that_the_cache_is_cold(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ColdCache, match="Warm it: make warm"):
        cold.download(tmp_path, "org/name", None, {"WARM_COMMAND": "make warm"})
    assert not manifest_path(tmp_path, "org/name", None).exists()
