"""Checks an event's fields against the signature of a handler."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .errors import BadRequest
from .events import json_type

_JSON_NAMES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}


class Signature:
    """Parameters of a handler; unannotated ones take any JSON value.

    Raises TypeError for parameters that no event can fill.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = function.__name__
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise TypeError(
                    f"{self._name}({parameter}): events have names; write `{parameter.name}: str`"
                )
        self._open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
        self._types = {parameter.name: _checkable(self._name, parameter) for parameter in named}
        self._required = [parameter.name for parameter in named if parameter.default is parameter.empty]

    def bind(self, fields: Mapping[str, Any], *, is_text: bool) -> dict[str, Any]:
        """Keyword arguments for the handler. `is_text`: parse numbers and booleans from strings.

        Raises BadRequest naming the first field that does not fit.
        """
        for name in self._required:
            if name not in fields:
                raise BadRequest(name, expected(self._types[name]), "nothing")
        unknown = [name for name in fields if name not in self._types]
        if unknown and not self._open:
            known = ", ".join(self._types) or "none"
            raise BadRequest(unknown[0], f"one of the fields {known}", "an unknown field")
        return {
            name: self._converted(name, value, is_text) if name in self._types else value
            for name, value in fields.items()
        }

    def _converted(self, name: str, value: Any, is_text: bool) -> Any:
        kind = self._types[name]
        try:
            return msgspec.convert(value, kind, strict=not is_text)
        except msgspec.ValidationError as error:
            # "Expected `str`, got `int` - at `$[1]`": the path tells which element of a list.
            _, at, place = str(error).rpartition(" - at `$")
            place = place.rstrip("`") if at else ""
            wanted = expected(_element(kind) if place else kind)
            raise BadRequest(name + place, wanted, _given(value, place, str(error))) from None


def expected(kind: Any) -> str:
    """A type in JSON's words: `str | list[str]` -> "string or array of string"."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return "any JSON value"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(expected(argument) for argument in arguments))
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    if origin is typing.Annotated:
        return f"{expected(arguments[0])} within {', '.join(map(repr, arguments[1:]))}"
    if origin is list and arguments:
        return f"array of {expected(arguments[0])}"
    return _JSON_NAMES.get(origin or kind, getattr(kind, "__name__", str(kind)))


def _element(kind: Any) -> Any:
    """Type of the elements where `kind`, or one of the types it joins, is an array."""
    for one in (kind, *typing.get_args(kind)):
        if typing.get_origin(one) is list:
            return typing.get_args(one)[0]
    return kind


def _given(value: Any, place: str, error: str) -> str:
    for index in place.strip("[]").split("]["):
        if isinstance(value, list) and index.isdecimal():
            value = value[int(index)]
        elif isinstance(value, list) and index == "...":
            return error.partition("got ")[2].partition(" - at")[0].strip("`") or "another type"
    return json_type(value)


def _checkable(function: str, parameter: inspect.Parameter) -> Any:
    kind = parameter.annotation
    if kind is parameter.empty or kind is object:
        return Any
    try:
        msgspec.convert(None, kind)
    except msgspec.ValidationError:
        pass  # None does not fit, but the type is one that can be checked
    except TypeError as error:
        raise TypeError(f"{function}({parameter}): no JSON value has that type: {error}") from None
    return kind
