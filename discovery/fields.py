"""The fields of a handler's events as JSON Schema, read from its signature."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from hf_lambda import schema
from hf_lambda.media.audio import Audio
from hf_lambda.media.image import Image
from hf_lambda.records import Json

from .literals import NotLiteralError
from .module import ParsedModule

_BUILTINS: dict[str, object] = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes}
_FILES: dict[str, object] = {
    "hf_lambda.Image": Image,
    "hf_lambda.media.image.Image": Image,
    "hf_lambda.Audio": Audio,
    "hf_lambda.media.audio.Audio": Audio,
}
_UNKNOWN = object()
"""A default that is not written out."""
_MESSAGE: dict[str, Json] = {
    "type": "object",
    "properties": {
        "role": {"enum": ["system", "user", "assistant", "tool"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "null"}]},
    },
    "required": ["role"],
}
_SAMPLING: dict[str, Json] = {
    "max_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer"},
    "stream": {"type": "boolean", "default": False},
}
_TEXTS: dict[str, Json] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_OF_FIELD: dict[str, dict[str, Json]] = {
    "messages": {"messages": {"type": "array", "items": _MESSAGE}, **_SAMPLING},
    "prompt": {"prompt": _TEXTS, **_SAMPLING},
    "input": {"input": _TEXTS},
    "inputs": {"inputs": _TEXTS, "normalize": {"type": "boolean"}, "truncate": {"type": "boolean"}},
    "query": {
        "query": {"type": "string"},
        "texts": {"type": "array", "items": {"type": "string"}},
        "raw_scores": {"type": "boolean", "default": False},
        "return_text": {"type": "boolean", "default": False},
    },
}
"""Requests of OpenAI's and text-embeddings-inference's APIs, by the field that tells them apart."""


def fields(
    module: ParsedModule,
    handler: ast.FunctionDef | None,
    is_endpoint: bool,
    example: Mapping[str, Json],
    *,
    speaks: Literal["openai", "tei"] | None,
) -> dict[str, Json]:
    """Of the parameters of an `@endpoint`; else as far as the example tells."""
    if handler is not None and is_endpoint:
        return schema.of_parameters(_parameters(module, handler.args))
    if speaks is not None and (named := next((name for name in _OF_FIELD if name in example), None)):
        required = ["query", "texts"] if named == "query" else [named]
        return {"type": "object", "properties": _OF_FIELD[named], "required": required}
    types = {name: schema.of_type(type(value)) for name, value in example.items()}
    return {"type": "object", "properties": types, "additionalProperties": True}


def _parameters(module: ParsedModule, given: ast.arguments) -> list[inspect.Parameter]:
    positional = [*given.posonlyargs, *given.args]
    without = [None] * (len(positional) - len(given.defaults))
    pairs = [
        *zip(positional, [*without, *given.defaults], strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    found = [
        inspect.Parameter(
            argument.arg,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(module, default),
            annotation=_type(module, argument.annotation) if argument.annotation else Any,
        )
        for argument, default in pairs
    ]
    if given.kwarg:
        found.append(inspect.Parameter(given.kwarg.arg, inspect.Parameter.VAR_KEYWORD))
    return found


def _default(module: ParsedModule, node: ast.expr | None) -> object:
    if node is None:
        return inspect.Parameter.empty
    try:
        return module.constants.value(node)
    except NotLiteralError:
        return _UNKNOWN


def _type(module: ParsedModule, node: ast.expr, depth: int = 0) -> object:
    """The type that an annotation means; `Any` where nobody can tell without running the script."""
    if depth > _DEEPEST:
        return Any

    def inner(each: ast.expr) -> object:
        return _type(module, each, depth + 1)

    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):  # an annotation in quotes
            try:
                return inner(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return Any
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([inner(left), inner(right)])
        case ast.Subscript(value=owner, slice=within):
            arguments = list(within.elts) if isinstance(within, ast.Tuple) else [within]
            return _generic(module, _name(module, owner), arguments, depth)
        case ast.Name(id=name) if (alias := module.constants.node(name)) is not None:
            return inner(alias)
    name = _name(module, node)
    return (
        _FILES.get(name) or _BUILTINS.get(name) or {"list": list[Any], "dict": dict[str, Any]}.get(name, Any)
    )


_DEEPEST = 20


def _generic(module: ParsedModule, name: str, arguments: list[ast.expr], depth: int) -> object:
    if name == "Literal":
        try:
            values = tuple(module.constants.value(each) for each in arguments)
        except NotLiteralError:
            return Any
        return (
            Literal.__getitem__(values) if all(isinstance(each, str | int | None) for each in values) else Any
        )
    kinds = [_type(module, each, depth + 1) for each in arguments]
    if name == "Optional":
        kinds.append(None)
    if name in ("Union", "Optional"):
        return _union(kinds)
    if name == "Annotated":
        return kinds[0]
    if name == "list" and len(kinds) == 1:
        return types.GenericAlias(list, (kinds[0],))
    if name == "dict" and len(kinds) == 2:
        return types.GenericAlias(dict, (str, kinds[1]))
    return Any


def _union(kinds: list[object]) -> object:
    return typing.Union.__getitem__(tuple(kinds))


def _name(module: ParsedModule, node: ast.expr) -> str:
    """A builtin's or typing's own name, a dotted one of anything else that is imported."""
    dotted = module.imports.dotted(node)
    if dotted is None:
        return node.id if isinstance(node, ast.Name) else ""
    owner, _, last = dotted.rpartition(".")
    if owner in ("typing", "typing_extensions"):
        return {"List": "list", "Dict": "dict"}.get(last, last)
    return dotted
