"""Checks an event's fields against the signature of a handler."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from .errors import BadRequest, Unprocessable
from .json_types import Mismatch, converted, expected, is_checkable, json_type, takes_file


class Signature:
    """Parameters of a handler; unannotated ones take any JSON value.

    Raises TypeError for parameters that no event can fill.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
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

    def bind(self, fields: Mapping[str, Any], *, is_text: bool, file: bytes | None = None) -> dict[str, Any]:
        """Keyword arguments for the handler. `is_text`: parse numbers and booleans from strings.

        file: for the first parameter that takes one. An event of Hugging Face's own services, `{"inputs",
        "parameters"}`, gives its inputs to the first parameter where the handler has none of that name.
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
        return {
            name: self._converted(name, value, is_text) if name in self._types else value
            for name, value in fields.items()
        }

    def _unwrapped(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if "inputs" not in fields or "inputs" in self._types or not set(fields) <= {"inputs", "parameters"}:
            return fields
        inputs, parameters = fields["inputs"], fields.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise BadRequest("parameters", "object", json_type(parameters))
        if isinstance(inputs, dict) and set(inputs) <= set(self._types):
            return {**inputs, **parameters}
        return {next(iter(self._types), "inputs"): inputs, **parameters}

    def _file(self, file: bytes) -> dict[str, Any]:
        for name, kind in self._types.items():
            if takes_file(kind):
                return {name: [file] if typing.get_origin(kind) is list else file}
        raise BadRequest(None, "a JSON object as body (this endpoint takes no file)", "a file")

    def _converted(self, name: str, value: Any, is_text: bool) -> Any:
        try:
            return converted(value, self._types[name], is_text=is_text)
        except Mismatch as mismatch:
            raise BadRequest(name + mismatch.place, mismatch.expected, mismatch.given) from None
        except Unprocessable as problem:
            problem.field = name + (problem.field or "")
            raise


def _type_of(function: str, parameter: inspect.Parameter) -> Any:
    kind = parameter.annotation
    if kind is parameter.empty:
        return Any
    if not is_checkable(kind):
        usable = (
            "str, int, float, bool, None, bytes, Image, Audio, list[...], dict[str, ...], Literal[...], Any "
            "and unions of these"
        )
        raise TypeError(f"{function}({parameter}): no JSON value has that type; write one of {usable}")
    return kind
