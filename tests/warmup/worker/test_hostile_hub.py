"""A Hub, or a proxy, that answers wrongly: a named error, and not a byte outside the cache."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.hub import Response
from tests.warmup.support import TINY, Warming, git_blob, remote
from warmup.worker.source import RemoteFile

VICTIM = "victim.txt"
ASTRAY = [
    f"../../../../{VICTIM}",
    f"../../../{VICTIM}",
    f"../../{VICTIM}",
    f"../{VICTIM}",
    "..",
    ".",
    "",
    "a/../../../../victim.txt",
    "a//b",
    "a\0b",
    "a\nb",
    "a\\..\\b",
    "x" * 300,
    "é" * 130,
]


def as_json(content: Any, **headers: str) -> Response:
    return Response(200, {"Content-Type": "application/json", **headers}, json.dumps(content).encode())


@pytest.fixture
def victim(warming: Warming) -> Path:
    """A file beside the cache, and its name in every folder above what is written."""
    for folder in (warming.cache.parent, warming.cache, warming.cache / "hub"):
        folder.mkdir(exist_ok=True)
        (folder / VICTIM).write_text("untouched")
    return warming.cache.parent / VICTIM


def entry(path: Any, content: bytes = b"{}", **changes: Any) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": git_blob(content), **changes}


def with_tree(warming: Warming, *entries: Any) -> dict[str, str]:
    """The error of a warm-up whose Hub lists `entries`."""
    warming.hub.faults.clear()
    warming.hub.fail("/api/models/org/tiny/tree/*", as_json(list(entries)), times=9)
    return warming.error()


def outside(warming: Warming) -> set[Path]:
    """Every path but those that a warm-up has to do with."""
    root = warming.cache.parent
    return {path for path in root.rglob("*") if not path.is_relative_to(warming.cache)}


@pytest.mark.parametrize("oid", [*ASTRAY, "0" * 39, "G" * 40, "0" * 41, "A" * 40])
def test_an_object_id_that_is_none_is_refused_before_anything_is_touched(
    warming: Warming, victim: Path, oid: str
) -> None:
    before = outside(warming)
    for changes in ({"oid": oid}, {"lfs": {"oid": oid, "size": 2, "pointerSize": 1}}):
        error = with_tree(warming, entry("model.safetensors", **changes), entry("config.json"))
        assert error["kind"] == "malformed", error
        assert "org/tiny" in error["message"]
    assert victim.read_text() == "untouched" and outside(warming) == before


@pytest.mark.parametrize("path", [name for name in ASTRAY if name])
def test_a_path_that_leaves_its_folder_is_refused(warming: Warming, victim: Path, path: str) -> None:
    """Refused where it would be kept; one in a folder that nothing reads is left out."""
    before = outside(warming)
    error = with_tree(
        warming, entry("model.safetensors"), entry(f"{path}/config.json"), entry(f"{path}.json")
    )
    assert error["kind"] in ("malformed", "damaged", "file not found"), error
    assert victim.read_text() == "untouched" and outside(warming) == before


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "file"},
        {"type": "file", "path": "config.json"},
        {"type": "file", "path": "config.json", "size": 2},
        entry("config.json", size="2"),
        entry("config.json", size=-1),
        entry("config.json", size=None),
        entry("config.json", size=2.5),
        entry(None),
        entry(7),
        entry("config.json", oid=None),
        entry("config.json", lfs={}),
        entry("config.json", lfs={"oid": 3, "size": 1, "pointerSize": 1}),
        entry("config.json", lfs=[1]),
        "text",
        None,
        7,
        [1],
    ],
)
def test_an_entry_that_lacks_what_every_entry_has_is_no_bug_of_ours(warming: Warming, broken: Any) -> None:
    error = with_tree(warming, entry("model.safetensors"), broken)
    assert error["kind"] != "bug", error
    assert "org/tiny" in error["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[", b"null", b"3", b'"text"', b"{}", b"\xff\xfe", b"<html>no</html>", b"[" * 50_000],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("pattern", ["/api/models/org/tiny", "/api/models/org/tiny/tree/*"])
def test_an_answer_that_is_not_the_hubs_is_no_bug_of_ours(
    warming: Warming, pattern: str, body: bytes
) -> None:
    warming.hub.fail(pattern, Response(200, {"Content-Type": "application/json"}, body), times=9)
    error = warming.error()
    assert error["kind"] != "bug", error
    assert "org/tiny" in error["message"]


@pytest.mark.parametrize("sha", [*ASTRAY, "main", "0" * 39, None, 7])
def test_a_commit_that_is_none_is_refused(warming: Warming, victim: Path, sha: Any) -> None:
    before = outside(warming)
    warming.hub.fail("/api/models/org/tiny", as_json({"id": "org/tiny", "sha": sha}), times=9)
    assert warming.error()["kind"] == "malformed"
    assert victim.read_text() == "untouched" and outside(warming) == before


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ETag", f'"../../../../{VICTIM}"'),
        ("ETag", f'"/tmp/{VICTIM}"'),
        ("ETag", '"not a hash"'),
        ("X-Linked-Etag", f'"../../{VICTIM}"'),
        ("X-Repo-Commit", f"../../../{VICTIM}"),
        ("X-Repo-Commit", "main"),
    ],
)
def test_a_header_that_would_become_a_path_is_refused(
    warming: Warming, victim: Path, header: str, value: str
) -> None:
    before = outside(warming)
    commit = "0" * 40
    headers = {"ETag": f'"{git_blob(b"{}")}"', "X-Repo-Commit": commit, "Content-Length": "2", header: value}
    warming.hub.fail("*/resolve/*", Response(200, headers, b"{}"), times=20)
    error = warming.error()
    assert error["kind"] == "malformed", error
    assert header.split("-")[-1].lower() in error["message"].lower()
    assert victim.read_text() == "untouched" and outside(warming) == before


def test_a_next_page_on_another_host_is_not_asked_for(warming: Warming) -> None:
    link = '<http://127.0.0.1:9/api/more>; rel="next"'
    warming.hub.fail("/api/models/org/tiny/tree/*", as_json([entry("model.safetensors")], Link=link), times=9)
    error = warming.error()
    assert error["kind"] == "malformed" and "another host" in error["message"]


def test_a_blob_that_the_client_put_elsewhere_does_not_count(warming: Warming) -> None:
    """The pointer of a snapshot must lead to a blob of its own repository."""
    warming.warm()
    path = warming.file("config.json")
    content = path.read_bytes()
    elsewhere = warming.cache / "elsewhere"
    elsewhere.write_bytes(content)
    path.unlink()
    path.symlink_to(elsewhere)
    assert warming.warm()["state"] == "done"
    assert path.resolve().parent.name == "blobs"
    assert elsewhere.read_bytes() == content


@pytest.mark.parametrize(
    "revision", [*(name for name in ASTRAY if name), "a b", "x~1", "x^", "/main", "main/", "-x"]
)
def test_a_revision_of_an_event_that_is_none_is_refused(
    warming: Warming, victim: Path, revision: str
) -> None:
    before = outside(warming)
    answer = warming.warm({**TINY, "revision": revision})
    assert answer["error"]["kind"] == "usage" and "revision" in answer["error"]["message"]
    assert victim.read_text() == "untouched" and outside(warming) == before


names = st.text(min_size=1, max_size=40) | st.sampled_from([name for name in ASTRAY if name])


@given(path=st.lists(names, min_size=1, max_size=4).map("/".join), oid=names | st.just("0" * 40))
@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_a_name_without_a_problem_stays_in_its_folder(path: str, oid: str) -> None:
    file = RemoteFile(path, 1, oid)
    if file.problem is None:
        for joined in (Path("/cache/snapshot", *path.split("/")), Path("/cache/snapshot") / file.blob):
            resolved = joined.resolve()
            assert resolved == joined and resolved != Path("/cache/snapshot")
            assert resolved.is_relative_to("/cache/snapshot")


@pytest.mark.parametrize(
    "path", ["config.json", "1_Pooling/config.json", "a.b-c_d/é.json", "日本.txt", "..a/b.."]
)
def test_an_ordinary_name_has_no_problem(path: str) -> None:
    assert remote(path).problem is None
