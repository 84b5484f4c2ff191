"""Whether parameters are what AWS's own model of its API allows: lengths, bounds, patterns and listed values.

Clients check required parameters and types, and leave the rest to AWS; so does moto. The model is the one
that botocore ships.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape


def violations(shape: Shape | None, value: Any, path: str = "") -> Iterator[str]:
    """One sentence for each value that AWS would refuse."""
    if shape is None or value is None:
        return
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if isinstance(value, dict) and name in value:
                yield from violations(member, value[name], f"{path}.{name}".lstrip("."))
    elif isinstance(shape, ListShape):
        yield from _bounds(shape, len(value), path, "has {} members")
        for index, member in enumerate(value):
            yield from violations(shape.member, member, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            yield from violations(shape.key, key, f"{path} key")
            yield from violations(shape.value, member, f"{path}.{key}")
    elif isinstance(shape, StringShape):
        yield from _text(shape, str(value), path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _bounds(shape, float(value), path, "is {:g}")


def _text(shape: StringShape, value: str, path: str) -> Iterator[str]:
    yield from _bounds(shape, len(value), path, "has {} characters")
    if shape.enum and value not in shape.enum:
        yield f"{path} is {value!r}; must be one of {', '.join(shape.enum)}"
    pattern = _pattern(shape.metadata.get("pattern"))
    if pattern and not pattern.fullmatch(value):
        yield f"{path} is {value!r}; must match {pattern.pattern}"


def _bounds(shape: Shape, size: float, path: str, words: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{path} {words.format(size)}; must be at least {low}"
    if high is not None and size > high:
        yield f"{path} {words.format(size)}; must be at most {high}"


@functools.cache
def _pattern(text: str | None) -> re.Pattern[str] | None:
    """None where it is not written for Python: `\\p{L}`, for instance, is a class of Java's."""
    try:
        return re.compile(text, re.DOTALL) if text else None
    except re.error:
        return None
