"""Files on disk against the Hub's tree."""

import threading
from pathlib import Path

import pytest

from tests.warmup.support import remote
from warmup.worker.threads import Stopped
from warmup.worker.verify import find_fault


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
