"""Atomic writes: the old file or the new one, and nothing else."""

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
