"""The stand-ins, built once for all test runs: a build is skipped where the last one is current."""

import os
from pathlib import Path

import pytest

from local.models import STAND_INS, build
from local.models.stand_ins import CHATTER

BUILT = Path(os.environ.get("STAND_INS", Path(__file__).parents[3] / ".local" / "models"))


@pytest.fixture(scope="session")
def stand_ins() -> Path:
    """All but the language model, which trains for minutes."""
    build(BUILT, stand_ins=[stand_in for stand_in in STAND_INS if stand_in is not CHATTER])
    return BUILT


@pytest.fixture(scope="session")
def all_stand_ins() -> Path:
    """For slow tests."""
    build(BUILT)
    return BUILT
