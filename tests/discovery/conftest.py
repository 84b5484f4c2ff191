"""A folder for scripts."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inference").mkdir()
    return tmp_path / "inference"
