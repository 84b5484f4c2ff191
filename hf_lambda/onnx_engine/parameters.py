"""Checking the parameters of a call against those that a task takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import BadRequest


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """`defaults` overridden by `given`. Raises BadRequest for a parameter that is not `known`."""
    names = tuple(known)
    for name in given:
        if name not in names:
            raise BadRequest(name, f"one of {', '.join(names)}", "an unknown parameter")
    return {**{name: value for name, value in defaults.items() if name in names}, **given}
