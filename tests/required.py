"""Tests that need a tool which is not a Python package: skipped without it, failed without it in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where CI=true: there a suite that does not run holds nothing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; in CI this suite must run", pytrace=False)
    pytest.skip(reason)
