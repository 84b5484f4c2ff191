"""Python types as JSON knows them: what a value is, whether it fits, and both in words.

Own code, because importing a validation library takes as long as all of `hf_lambda`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

from .errors import Unprocessable
from .media.encoded import WANTED, decoded

_NAMES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    bytes: WANTED,
    dict: "object",
    list: "array",
    type(None): "null",
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_PARSERS: dict[type, Callable[[str], Any]] = {int: int, float: float, bool: _BOOLEANS.__getitem__}


class Mismatch(Exception):  # noqa: N818 - not a ServingError: `Signature` turns it into one
    """A value that does not fit. `place` is where in the field, for instance "[1]"."""

    def __init__(self, place: str, expected: str, given: str) -> None:
        super().__init__(place, expected, given)
        self.place, self.expected, self.given = place, expected, given


def json_type(value: Any) -> str:
    """What JSON calls the type of `value`."""
    return _NAMES.get(type(value), type(value).__name__)


def expected(kind: Any) -> str:
    """A type in JSON's words: `str | list[str]` -> "string or array of string"."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return "any JSON value"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(expected(argument) for argument in arguments))
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    if origin is typing.Annotated:
        return expected(arguments[0])
    if origin is list:
        return f"array of {expected(arguments[0])}"
    if is_file(kind):
        return str(getattr(kind, "json_name", WANTED))
    return _NAMES.get(type(None) if kind is None else origin or kind, str(kind))


def is_file(kind: Any) -> bool:
    """Whether values of this type come as files: bytes, or a class that reads itself (`Image`, `Audio`)."""
    return kind is bytes or (isinstance(kind, type) and hasattr(kind, "from_json"))


def takes_file(kind: Any) -> bool:
    """Whether `kind` is such a type, or a union or list with one."""
    return is_file(kind) or any(map(takes_file, typing.get_args(kind)))


def is_checkable(kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union, list):
        return all(map(is_checkable, arguments))
    if origin is typing.Annotated:
        return is_checkable(arguments[0])
    if origin is dict:
        return arguments[0] is str and is_checkable(arguments[1])
    return origin is typing.Literal or kind in (Any, object, None) or is_file(kind) or kind in _NAMES


def converted(value: Any, kind: Any, *, is_text: bool = False) -> Any:
    """`value`, where it fits `kind`; with `is_text` what its text says. Raises Mismatch.

    An integer is a number too, and then a float; a boolean is neither. Files come as base64, or as bytes
    where the body of the request is one; Unprocessable is raised for one that cannot be read.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return value
    if is_file(kind):
        return _bytes(value) if kind is bytes else kind.from_json(value)
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, arguments, kind, is_text)
    if origin is typing.Annotated:
        return converted(value, arguments[0], is_text=is_text)
    if origin is typing.Literal:
        fits = any(type(value) is type(argument) and value == argument for argument in arguments)
    elif origin is list and isinstance(value, list):
        return [_part(f"[{index}]", item, arguments[0]) for index, item in enumerate(value)]
    elif origin is dict and isinstance(value, dict):
        return {key: _part(f"[{key!r}]", item, arguments[1]) for key, item in value.items()}
    else:
        fits = origin is None and type(value) is (type(None) if kind is None else kind)
    if fits:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if is_text and kind in _PARSERS and isinstance(value, str):
        return _parsed(value, kind)
    raise Mismatch("", expected(kind), json_type(value))


def _one_of(value: Any, kinds: tuple[Any, ...], union: Any, is_text: bool) -> Any:
    inner: Mismatch | Unprocessable | None = None
    for kind in kinds:
        try:
            return converted(value, kind, is_text=is_text)
        except Unprocessable as problem:
            inner = inner or problem
        except Mismatch as mismatch:
            # Right on the outside, wrong within: the place within says more than the whole union.
            inner = mismatch if mismatch.place else inner
    raise inner or Mismatch("", expected(union), json_type(value))


def _part(place: str, value: Any, kind: Any) -> Any:
    try:
        return converted(value, kind)
    except Mismatch as mismatch:
        raise Mismatch(place + mismatch.place, mismatch.expected, mismatch.given) from None
    except Unprocessable as problem:
        problem.field = place + (problem.field or "")
        raise


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Mismatch("", WANTED, json_type(value))
    try:
        return decoded(value)
    except ValueError as problem:
        raise Mismatch("", WANTED, str(problem)) from None


def _parsed(text: str, kind: type) -> Any:
    try:
        return _PARSERS[kind](text.lower())
    except (ValueError, KeyError):
        raise Mismatch("", expected(kind), "string") from None
