"""The embedded Hub, asked by the real client: descriptions, listings, files."""

import hashlib
import json
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import (
    HfApi,
    RepoFile,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from local.hub import Hub
from tests.local.hub.conftest import COMMIT, WEIGHTS, git_blob

PINNED = "org/pinned"


def test_model_info_names_the_commit_and_every_file(endpoint: str) -> None:
    info = HfApi(endpoint).model_info(PINNED)
    assert info.sha == COMMIT
    assert {sibling.rfilename for sibling in info.siblings or []} == {
        "config.json",
        "model.safetensors",
        "onnx/model.onnx",
        "onnx/notes.txt",
    }


def test_model_info_with_files_metadata_gives_sizes_and_hashes(endpoint: str) -> None:
    info = HfApi(endpoint).model_info(PINNED, revision=COMMIT, files_metadata=True)
    files = {sibling.rfilename: sibling for sibling in info.siblings or []}
    config = b'{"model_type": "distilbert"}'
    assert (files["config.json"].size, files["config.json"].blob_id) == (len(config), git_blob(config))
    assert files["config.json"].lfs is None
    weights = files["model.safetensors"]
    assert weights.size == len(WEIGHTS)
    assert weights.lfs is not None and weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_the_tree_lists_git_and_lfs_hashes_as_git_would(endpoint: str) -> None:
    entries = {entry.path: entry for entry in HfApi(endpoint).list_repo_tree(PINNED, recursive=True)}
    assert set(entries) == {"config.json", "model.safetensors", "onnx", "onnx/model.onnx", "onnx/notes.txt"}
    weights, notes = entries["model.safetensors"], entries["onnx/notes.txt"]
    assert isinstance(weights, RepoFile) and isinstance(notes, RepoFile) and weights.lfs is not None
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(WEIGHTS)}\n".encode()
    )
    assert weights.lfs.sha256 == sha256
    assert weights.lfs.pointer_size == len(pointer)
    assert weights.blob_id == git_blob(pointer)
    assert notes.blob_id == git_blob(b"notes")


@pytest.mark.parametrize(
    ("path", "recursive", "expected"),
    [
        (None, False, {"config.json", "model.safetensors", "onnx"}),
        ("onnx", False, {"onnx/model.onnx", "onnx/notes.txt"}),
        ("onnx", True, {"onnx/model.onnx", "onnx/notes.txt"}),
    ],
)
def test_the_tree_can_be_asked_for_one_folder(endpoint, path, recursive, expected) -> None:
    listed = HfApi(endpoint).list_repo_tree(PINNED, path, recursive=recursive)
    assert {entry.path for entry in listed} == expected


def test_paths_info_describes_the_files_asked_for(endpoint: str) -> None:
    [entry] = HfApi(endpoint).get_paths_info(PINNED, ["config.json", "absent"])
    assert entry.path == "config.json"


def test_a_snapshot_holds_the_same_bytes(endpoint: str, models: Path, cache: Path) -> None:
    snapshot = Path(snapshot_download(PINNED, revision=COMMIT, endpoint=endpoint, cache_dir=cache))
    assert snapshot.name == COMMIT
    for name in ("config.json", "model.safetensors", "onnx/model.onnx", "onnx/notes.txt"):
        assert (snapshot / name).read_bytes() == (models / PINNED / name).read_bytes()
    assert not (snapshot / ".commit").exists()


def test_a_complete_snapshot_is_found_again_without_a_request(endpoint: str, hub: Hub, cache: Path) -> None:
    first = snapshot_download(PINNED, revision=COMMIT, endpoint=endpoint, cache_dir=cache)
    before = hub.requests
    assert snapshot_download(PINNED, revision=COMMIT, endpoint=endpoint, cache_dir=cache) == first
    assert hub.requests == before
    offline = snapshot_download(PINNED, revision=COMMIT, cache_dir=cache, local_files_only=True)
    assert offline == first


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_one_file_can_be_downloaded_by_branch(endpoint: str, cache: Path, models: Path, name: str) -> None:
    path = hf_hub_download(PINNED, name, endpoint=endpoint, cache_dir=cache)
    assert Path(path).read_bytes() == (models / PINNED / name).read_bytes()
    assert Path(path).parent.name == COMMIT


@pytest.mark.parametrize(
    ("name", "etag", "size"),
    [
        ("config.json", git_blob(b'{"model_type": "distilbert"}'), 28),
        ("model.safetensors", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS)),
    ],
)
def test_head_tells_commit_etag_and_size(endpoint: str, name: str, etag: str, size: int) -> None:
    metadata = get_hf_file_metadata(hf_hub_url(PINNED, name, endpoint=endpoint))
    assert (metadata.commit_hash, metadata.etag, metadata.size) == (COMMIT, etag, size)
    assert metadata.xet_file_data is None


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-3", 206, WEIGHTS[:4]),
        ("bytes=1048570-", 206, WEIGHTS[-6:]),
        ("bytes=-5", 206, WEIGHTS[-5:]),
        ("bytes=1048000-9999999", 206, WEIGHTS[1048000:]),
        ("nonsense", 200, WEIGHTS),
    ],
)
def test_a_range_gives_that_part(endpoint: str, asked: str, status: int, expected: bytes) -> None:
    url = hf_hub_url(PINNED, "model.safetensors", endpoint=endpoint)
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": asked})) as answer:
        assert (answer.status, answer.read()) == (status, expected)


def test_a_range_past_the_end_is_refused(endpoint: str) -> None:
    url = hf_hub_url(PINNED, "model.safetensors", endpoint=endpoint)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=9999999-"}))
    with refused.value as answer:
        assert (answer.code, answer.headers["Content-Range"]) == (416, f"bytes */{len(WEIGHTS)}")


def test_a_missing_repository_is_not_found(endpoint: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint).model_info("org/absent")


@pytest.mark.parametrize("revision", ["v1.0", "0" * 40])
def test_a_missing_revision_is_not_found(endpoint: str, revision: str, cache: Path) -> None:
    with pytest.raises(RevisionNotFoundError):
        snapshot_download(PINNED, revision=revision, endpoint=endpoint, cache_dir=cache)


def test_a_missing_file_is_not_found(endpoint: str, cache: Path) -> None:
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download(PINNED, "absent.json", endpoint=endpoint, cache_dir=cache)
    with pytest.raises(RemoteEntryNotFoundError):
        list(HfApi(endpoint).list_repo_tree(PINNED, "absent"))


def test_a_folder_without_a_commit_stands_in_for_any(endpoint: str, cache: Path) -> None:
    pinned = "a" * 40
    snapshot = snapshot_download("org/own", revision=pinned, endpoint=endpoint, cache_dir=cache)
    assert Path(snapshot).name == pinned
    branch = HfApi(endpoint).model_info("org/own").sha
    assert branch is not None and len(branch) == 40 and branch != pinned


def test_requests_are_counted_by_client(endpoint: str, hub: Hub) -> None:
    HfApi(f"{endpoint}/as/sentiment").model_info(PINNED)
    HfApi(f"{endpoint}/as/sentiment").model_info(PINNED)
    HfApi(endpoint).model_info(PINNED)
    with urllib.request.urlopen(f"{endpoint}/-/requests") as answer:
        assert json.load(answer) == {"sentiment": 2, "unnamed": 1}


def test_a_download_through_a_client_prefix_stays_under_it(endpoint: str, hub: Hub, cache: Path) -> None:
    snapshot_download(PINNED, endpoint=f"{endpoint}/as/warmup", cache_dir=cache)
    assert set(hub.requests) == {"warmup"}
    assert any(asked.path.startswith("/lfs/") for asked in hub.asked)


def test_what_is_not_served_says_so(endpoint: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{endpoint}/api/datasets/org/data")
    with refused.value as answer:
        assert answer.code == 404
        assert json.load(answer) == {"error": "Not served here: /api/datasets/org/data"}


CARDS = {
    "---\npipeline_tag: fill-mask\nlicense: mit\ndate: 2026-01-02\n---\n# A card": ("fill-mask", "mit"),
    "---\n{[\n---\n": (None, None),
    "---\n- a\n---\n": (None, None),
    "---\nno end": (None, None),
    "no front matter": (None, None),
}


@pytest.mark.parametrize("text", CARDS)
def test_model_info_says_what_the_card_and_the_config_say(text: str, models: Path, endpoint: str) -> None:
    (models / "org/own/README.md").write_text(text)
    (models / "org/own/config.json").write_text('{"architectures": ["A"], "model_type": "b", "c": 1}')
    info = HfApi(endpoint).model_info("org/own")
    assert (info.pipeline_tag, info.card_data and info.card_data.license) == CARDS[text]
    assert info.config == {"architectures": ["A"], "model_type": "b"}
