"""The stand-ins, built once for all test runs: a build is skipped where the last one is current."""

import os
from pathlib import Path

import pytest

from local.models import build
from local.models.stand_ins import RANKER, SPELLER, SUMMARIZER, TOKEN_VECTORS, TOPICS

BUILT = Path(os.environ.get("STAND_INS", Path(__file__).parents[3] / ".local" / "models"))


CONSTRUCTED = (SUMMARIZER, TOPICS, RANKER, TOKEN_VECTORS, SPELLER)
"""Those whose weights are written down; the others train, for minutes altogether."""


@pytest.fixture(scope="session")
def constructed() -> Path:
    """The stand-ins of CONSTRUCTED."""
    build(BUILT, stand_ins=CONSTRUCTED)
    return BUILT


@pytest.fixture(scope="session")
def stand_ins() -> Path:
    """All of them: for slow tests."""
    build(BUILT)
    return BUILT
