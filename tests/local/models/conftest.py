"""The stand-ins, built once for all test runs: a build is skipped where the last one is current."""

import os
from pathlib import Path

import pytest

from local.models import build

BUILT = Path(os.environ.get("STAND_INS", Path(__file__).parents[3] / ".local" / "models"))


@pytest.fixture(scope="session")
def stand_ins() -> Path:
    build(BUILT)
    return BUILT
