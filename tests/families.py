"""Which families of models a test asks in the fast run, and which in the slow one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def others_slow(families: Iterable[str], *fast: str) -> list[ParameterSet]:
    """Every family; those that are not named in `fast` are slow.

    For what families differ in little: whether a family is read rightly at all is tested fast, once for each.
    """
    found = list(families)
    assert {*fast} <= {*found}
    return [pytest.param(each, marks=() if each in fast else pytest.mark.slow) for each in found]
