"""Which families of models, and which inputs, a test asks in the fast run, and which in the slow one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

Value = TypeVar("Value")


def others_slow(values: Iterable[Value], *fast: Value) -> list[ParameterSet]:
    """Every value, of which a tuple is one for each parameter; those that are not named in `fast` are slow.

    For what families or inputs differ in little: each is read at all in a fast test elsewhere.
    """
    found = list(values)
    assert all(each in found for each in fast)
    return [
        pytest.param(
            *(each if isinstance(each, tuple) else (each,)), marks=() if each in fast else pytest.mark.slow
        )
        for each in found
    ]
