"""Checks an event's fields against the signature of a handler, with types as JSON knows them.

Own code, because importing a validation library takes as long as all of `hf_lambda`.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from .errors import BadRequest, Unprocessable
from .media.encoded import WANTED, decoded, one_request
from .records import Json

_NAMES: dict[object, str] = {
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


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("an infinite number")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError("more than 64 bits")
    return value


_PARSERS: dict[object, Callable[[str], Json]] = {int: _whole, float: _number, bool: _BOOLEANS.__getitem__}


class Signature:
    """Parameters of a handler; unannotated ones take any JSON value.

    Raises TypeError for parameters that no event can fill.
    """

    def __init__(self, function: Callable[..., Json]) -> None:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                fix = f"events have names; write `{parameter.name}: str`"
                raise TypeError(f"{function.__name__}({parameter}): {fix}")
        self._open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
        self._types = {parameter.name: _type_of(function.__name__, parameter) for parameter in named}
        self._required = [parameter.name for parameter in named if parameter.default is parameter.empty]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._types)

    def bind(
        self, fields: Mapping[str, Json], *, is_text: bool, file: bytes | None = None
    ) -> dict[str, Json]:
        """Keyword arguments for the handler. `is_text`: parse numbers and booleans from strings.

        file: for the first parameter that takes one. An event of Hugging Face's own services, `{"inputs",
        "parameters"}`, gives its inputs to the first parameter that is left without a value - of those that
        need one, if there are any - where the handler has none of that name.
        Raises BadRequest naming the first field that does not fit, Unprocessable for a file that is damaged.
        """
        fields = self._unwrapped(fields)
        if file is not None:
            fields = {**fields, **self._file(file)}
        for name in self._required:
            if name not in fields:
                raise BadRequest(name, expected(self._types[name]), "nothing")
        unknown = [name for name in fields if name not in self._types]
        if unknown and not self._open:
            known = ", ".join(self._types) or "none"
            raise BadRequest(unknown[0], f"one of the fields {known}", "an unknown field")
        with one_request():
            return {
                name: self._converted(name, value, is_text) if name in self._types else value
                for name, value in fields.items()
            }

    def _unwrapped(self, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        if "inputs" not in fields or "inputs" in self._types or not set(fields) <= {"inputs", "parameters"}:
            return fields
        inputs, parameters = fields["inputs"], fields.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise BadRequest("parameters", "object", json_type(parameters))
        if isinstance(inputs, dict) and set(inputs) <= set(self._types):
            return {**inputs, **parameters}
        missing = (name for name in (*self._required, *self._types) if name not in parameters)
        return {next(missing, "inputs"): inputs, **parameters}

    def _file(self, file: bytes) -> dict[str, Json]:
        for name, kind in self._types.items():
            if _takes_file(kind):
                return {name: file if _takes_file(kind, alone=True) else [file]}
        raise BadRequest(None, "a JSON object as body (this endpoint takes no file)", "a file")

    def _converted(self, name: str, value: Json, is_text: bool) -> Json:
        try:
            return _converted(value, self._types[name], is_text=is_text)
        except Mismatch as mismatch:
            raise BadRequest(name + mismatch.place, mismatch.expected, mismatch.given) from None
        except Unprocessable as problem:
            problem.field = name + (problem.field or "")
            raise


def _type_of(function: str, parameter: inspect.Parameter) -> object:
    kind = parameter.annotation
    if kind is parameter.empty:
        return Any
    if not _is_checkable(kind):
        usable = (
            "str, int, float, bool, None, bytes, Image, Audio, list[...], dict[str, ...], Literal[...], Any "
            "and unions of these"
        )
        raise TypeError(f"{function}({parameter}): no JSON value has that type; write one of {usable}")
    return kind


def json_type(value: object) -> str:
    """What JSON calls the type of `value`."""
    return _NAMES.get(type(value), type(value).__name__)


class Mismatch(Exception):  # noqa: N818 - `Signature` turns it into a BadRequest
    """A value that does not fit. `place` is where in the field, for instance "[1]"."""

    def __init__(self, place: str, expected: str, given: str) -> None:
        super().__init__(place, expected, given)
        self.place, self.expected, self.given = place, expected, given


def expected(kind: object) -> str:
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
    if _is_file(kind):
        return str(getattr(kind, "json_name", WANTED))
    return _NAMES.get(type(None) if kind is None else origin or kind, str(kind))


def _is_file(kind: object) -> bool:
    """Whether values of this type come as files: bytes, or a class that reads itself (`Image`, `Audio`)."""
    return kind is bytes or (isinstance(kind, type) and hasattr(kind, "from_json"))


def _takes_file(kind: object, *, alone: bool = False) -> bool:
    """Whether `kind` is such a type, or a union or list with one; alone: not in a list."""
    if alone and typing.get_origin(kind) is list:
        return False
    return _is_file(kind) or any(_takes_file(part, alone=alone) for part in typing.get_args(kind))


def _is_checkable(kind: object) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union, list):
        return all(map(_is_checkable, arguments))
    if origin is typing.Annotated:
        return _is_checkable(arguments[0])
    if origin is dict:
        return arguments[0] is str and _is_checkable(arguments[1])
    return origin is typing.Literal or kind in (Any, object, None) or _is_file(kind) or kind in _NAMES


def _converted(value: Json, kind: object, *, is_text: bool = False) -> Json:
    """`value`, where it fits `kind`; with `is_text` what its text says. Raises Mismatch.

    An integer is a number too, and then a float; a boolean is neither. Files come as base64, or as bytes
    where the body of the request is one; Unprocessable is raised for one that cannot be read.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return value
    if kind is bytes:
        return _bytes(value)
    if isinstance(kind, type) and _is_file(kind):
        of_file: type[Any] = kind
        return of_file.from_json(value)
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, arguments, kind, is_text)
    if origin is typing.Annotated:
        return _converted(value, arguments[0], is_text=is_text)
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


def _one_of(value: Json, kinds: tuple[object, ...], union: object, is_text: bool) -> Json:
    inner: Mismatch | Unprocessable | None = None
    for kind in kinds:
        try:
            return _converted(value, kind, is_text=is_text)
        except Unprocessable as problem:
            inner = inner or problem
        except Mismatch as mismatch:
            # Right on the outside, wrong within: the place within, or what a text is instead of a file, says
            # more than the whole union.
            says_more = mismatch.place or mismatch.given != json_type(value)
            inner = mismatch if says_more else inner
    raise inner or Mismatch("", expected(union), json_type(value))


def _part(place: str, value: Json, kind: object) -> Json:
    try:
        return _converted(value, kind)
    except Mismatch as mismatch:
        raise Mismatch(place + mismatch.place, mismatch.expected, mismatch.given) from None
    except Unprocessable as problem:
        problem.field = place + (problem.field or "")
        raise


def _bytes(value: Json) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Mismatch("", WANTED, json_type(value))
    try:
        return decoded(value)
    except ValueError as problem:
        raise Mismatch("", WANTED, str(problem)) from None


def _parsed(text: str, kind: object) -> Json:
    try:
        return _PARSERS[kind](text.lower())
    except (ValueError, KeyError):
        raise Mismatch("", expected(kind), "string") from None
