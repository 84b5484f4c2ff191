"""Atomic writes: the old file or the new one, and nothing else."""

import os
from pathlib import Path

import pytest

from hf_lambda.atomic import replace_text


def test_a_file_is_written_whole_and_readable_for_every_user(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_text(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hf_lambda.atomic.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_text(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("in_the_way", ["of the file", "of its folder", "of a folder above", "of a pipe"])
def test_what_is_in_the_way_is_removed_below_the_programs_own_folder_alone(
    tmp_path: Path, in_the_way: str
) -> None:
    own = tmp_path / "own"
    path = own / "a" / "b" / "file"
    for place, said in (
        (path, "of the file"),
        (path.parent, "of its folder"),
        (own / "a", "of a folder above"),
    ):
        if said == in_the_way:
            place.parent.mkdir(parents=True)
            if place == path:
                place.mkdir()
                (place / "kept").write_text("somebody's")
            else:
                place.write_text("somebody's")
    if in_the_way == "of a pipe":
        path.parent.parent.mkdir(parents=True)
        os.mkfifo(path.parent)
    before = sorted(own.rglob("*"))
    with pytest.raises(OSError):
        replace_text(path, "new")
    assert sorted(own.rglob("*")) == before
    replace_text(path, "new", within=own)
    assert path.read_text() == "new"


def test_the_programs_own_folder_itself_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("somebody's")
    with pytest.raises(OSError):
        replace_text(tmp_path / "own" / "a" / "file", "new", within=tmp_path / "own")
    assert (tmp_path / "own").read_text() == "somebody's"
