"""Files on disk against the Hub's tree, also while they are written."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warmup.support import Warming, remote
from warmup.worker import verify
from warmup.worker.source import RemoteFile
from warmup.worker.threads import Stopped
from warmup.worker.verify import Follower, find_fault


@pytest.mark.parametrize("large", [True, False])
def test_a_file_with_the_hubs_hash_has_no_fault(tmp_path: Path, large: bool) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert find_fault(tmp_path / "file", remote("file", b"content", large=large)) is None


def test_a_missing_file_and_a_dangling_pointer_are_missing(tmp_path: Path) -> None:
    (tmp_path / "pointer").symlink_to("nowhere")
    assert find_fault(tmp_path / "none", remote("none")) == "is missing"
    assert find_fault(tmp_path / "pointer", remote("pointer")) == "is missing"


def test_a_truncated_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"cont")
    assert find_fault(tmp_path / "file", remote("file", b"content", large=True)) == "has 4 of 7 bytes"


@pytest.mark.parametrize(("large", "name"), [(True, "SHA-256"), (False, "git SHA-1")])
def test_a_changed_byte_is_found_by_hash(tmp_path: Path, large: bool, name: str) -> None:
    (tmp_path / "file").write_bytes(b"contenT")
    found = find_fault(tmp_path / "file", remote("file", b"content", large=large))
    assert found == f"has another {name} than it should"


def test_hashing_stops_when_nobody_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        find_fault(tmp_path / "file", remote("file", b"content"), stop)


CONTENT = random.Random(1).randbytes(100_000)
FILE = remote("model.safetensors", CONTENT, large=True)


class Writing:
    """The Hub's client that writes `file` into a folder of blobs, as far as a test says."""

    def __init__(self, blobs: Path, file: RemoteFile = FILE) -> None:
        self.blobs, self.file, self.received = blobs, file, 0
        self.follower = Follower(blobs, file, lambda: self.received)
        self.path = blobs / "none"
        self.begin("0a1b2c3d")

    def begin(self, random_part: str) -> None:
        self.path.unlink(missing_ok=True)
        self.path = self.blobs / f"{self.file.blob}.{random_part}.incomplete"
        self.path.touch()
        self.received = 0

    def write(self, content: bytes, at: int | None = None) -> None:
        with self.path.open("r+b") as stream:
            stream.seek(*((at,) if at is not None else (0, 2)))
            stream.write(content)
        self.received += len(content)
        self.follower.look()

    def end(self) -> Path:
        return self.path.rename(self.blobs / self.file.blob)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(verify, "LAG_BYTES", 5_000)


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    """The test looks; a file of this size is not followed by a thread."""
    made = Writing(tmp_path)
    with made.follower:
        yield made


def test_what_was_written_is_read_while_the_rest_is_still_to_come(writing: Writing):
    writing.write(CONTENT[:60_000])
    assert writing.follower.read_bytes == 55_000
    writing.write(CONTENT[60_000:])
    assert writing.follower.read_bytes == 95_000
    assert writing.follower.matches(writing.end())


def test_a_block_that_the_client_has_not_reported_is_left_alone(writing: Writing):
    """It may have reserved the whole file at once."""
    writing.path.write_bytes(bytes(len(CONTENT)))
    writing.write(CONTENT[:20_000], at=0)
    assert writing.follower.read_bytes == 15_000
    writing.write(CONTENT[20_000:], at=20_000)
    assert writing.follower.matches(writing.end())


@pytest.mark.parametrize(
    "content",
    [CONTENT[:-1], CONTENT + b"x", CONTENT[:50_000] + b"x" + CONTENT[50_001:], CONTENT[:-1] + b"x", b""],
    ids=["cut", "too long", "changed", "changed at the end", "empty"],
)
def test_another_content_does_not_match(writing: Writing, content: bytes):
    writing.write(content)
    assert not writing.follower.matches(writing.end())


def test_after_a_transfer_that_broke_off_the_next_one_is_followed(writing: Writing):
    writing.write(CONTENT[:40_000])
    writing.begin("99999999")
    writing.write(CONTENT[:30_000])
    assert writing.follower.read_bytes == 25_000
    writing.write(CONTENT[30_000:])
    assert writing.follower.matches(writing.end())


def test_a_file_that_was_not_followed_does_not_match_whatever_it_holds(writing: Writing):
    writing.write(CONTENT)
    writing.end()
    other = writing.blobs / "other"
    other.write_bytes(CONTENT)
    assert not writing.follower.matches(other)
    assert not writing.follower.matches(writing.blobs / "missing")


def test_a_file_that_is_written_in_another_order_does_not_match(writing: Writing):
    """It is right, which the follower cannot know: it is read as a whole then."""
    writing.write(bytes(40_000), at=0)
    writing.write(CONTENT[60_000:], at=60_000)
    writing.write(CONTENT[:60_000], at=0)
    assert not writing.follower.matches(writing.end())


def test_the_thread_reads_by_itself_and_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "LEAST_BYTES", 0)
    monkeypatch.setattr(verify, "PAUSE_SECONDS", 0.001)
    made = Writing(tmp_path)
    with made.follower:
        made.path.write_bytes(CONTENT)
        made.received = len(CONTENT)
        while made.follower.read_bytes < 95_000:
            pass
        assert made.follower.matches(made.end())


@pytest.mark.parametrize("fault", [None, "corrupt", "drop", "truncate"])
def test_a_model_whose_files_are_followed_is_warmed_like_any_other(
    warming: Warming, monkeypatch: pytest.MonkeyPatch, fault: str | None
):
    monkeypatch.setattr(verify, "LEAST_BYTES", 0)
    monkeypatch.setattr(verify, "PAUSE_SECONDS", 0.001)
    if fault:
        warming.hub.fail("*model.safetensors", fault)
    warming.warm()
    before = warming.file("model.safetensors").read_bytes()
    assert before == (warming.hub.repositories["org/tiny"].folder / "model.safetensors").read_bytes()
    assert [path for path in warming.blobs() if path.endswith(".incomplete")] == []
