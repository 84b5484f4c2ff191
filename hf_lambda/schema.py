"""The OpenAPI document of a handler: its parameters as JSON Schema, its answers.

Made from types alone, so that what runs a script and what only reads it say the same.
https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Iterable
from typing import Any

from .records import Json

_PLAIN: dict[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
    None: "null",
}
_ERRORS = {
    "400": "a field is missing, unknown or of another type",
    "401": "the endpoint has API keys and the request none of them",
    "413": "the answer is over what Lambda can return",
    "422": "the model cannot take the input",
    "500": "the endpoint failed; the log has the id",
    "503": "the model is not in the cache",
}


def of_parameters(parameters: Iterable[inspect.Parameter]) -> dict[str, Json]:
    """The schema of an event's fields."""
    properties: dict[str, Json] = {}
    required: list[str] = []
    is_open = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            is_open = True
            continue
        is_typed = parameter.annotation is not parameter.empty
        field = of_type(parameter.annotation if is_typed else Any)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        elif _is_json(parameter.default):
            field = {**field, "default": parameter.default}
        properties[parameter.name] = field
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": is_open,
    }


def of_type(kind: object) -> dict[str, Json]:
    """The schema of one type that a handler's parameter can have; `{}` takes any value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return of_type(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [of_type(each) for each in arguments]}
    if origin is typing.Literal:
        return {"enum": [*arguments]}
    if origin is list:
        return {"type": "array", "items": of_type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": of_type(arguments[1])}
    if kind is bytes or hasattr(kind, "from_json"):
        media_type = getattr(kind, "media_type", "application/octet-stream")
        return {"type": "string", "contentEncoding": "base64", "contentMediaType": media_type}
    name = _PLAIN.get(kind)
    return {"type": name} if name else {}


def document(
    name: str, fields: dict[str, Json], *, path: str = "/", example: Json = None, streams: bool = False
) -> dict[str, Json]:
    """The OpenAPI document of the endpoint `name`, whose events are described by `fields`."""
    if streams and "stream" not in fields["properties"]:
        asked = {"type": "boolean", "default": False, "description": "answer as JSON lines, as they come"}
        fields = {**fields, "properties": {**fields["properties"], "stream": asked}}
    said: dict[str, Json] = {"schema": fields}
    if example is not None:
        said["example"] = example
    answers: dict[str, Json] = {
        "200": {"description": "the result", "content": {"application/json": {"schema": {}}}}
    }
    if streams:
        answers["200"]["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers |= {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    operation = {
        "operationId": name,
        "requestBody": {"required": True, "content": {"application/json": said}},
        "responses": answers,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1"},
        "paths": {path: {"post": operation}},
        "components": {"schemas": {"Error": _ERROR}},
    }


_ERROR: dict[str, Json] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "required": ["message"],
        }
    },
    "required": ["error"],
}


def _is_json(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    return value is None or isinstance(value, str | int)
