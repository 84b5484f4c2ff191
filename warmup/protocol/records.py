"""Dataclasses that are written as JSON and read back, with an error that names the field of a wrong shape."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, Union

from hf_lambda.records import Json as Json


class WrongShape(ValueError):  # noqa: N818 - the reader words it for the operator
    """JSON that is not the record it should be: which field, what was expected, what is there."""


@dataclass(frozen=True)
class Key:
    """`Annotated[str, Key("model")]`: the field's name in JSON."""

    name: str


OMIT_DEFAULT = object()
"""`Annotated[int | None, OMIT_DEFAULT]`: the field is not in the JSON while it has its default."""


class Record:
    """Base of frozen dataclasses that cross a process boundary.

    Their fields are text, numbers, truth values, enums, records, unions, tuples and mappings of these, or
    `Json`. Unknown keys are ignored unless the class says `strict`.
    """

    strict: ClassVar[bool] = False

    def to_json(self) -> dict[str, Json]:
        record: Any = type(self)  # mypy finds no class hashable
        values = {one.key: (one, getattr(self, one.name)) for one in _members(record)}
        return {
            key: _written(value)
            for key, (one, value) in values.items()
            if not (one.omit_default and value == one.default)
        }

    @classmethod
    def from_json(cls, raw: Json, where: str = "") -> Self:
        """Raises WrongShape. `where` is the path to `raw` in the document that it is a part of."""
        if not isinstance(raw, Mapping):
            raise WrongShape(f"{where or 'the document'}: expected an object, got {shown(raw)}")
        record: Any = cls
        members = _members(record)
        known = [one.key for one in members]
        if cls.strict and (unknown := [key for key in raw if key not in known]):
            message = f"there is no such key. Known are {', '.join(known)}"
            raise WrongShape(f"{_path(where, str(unknown[0])[:60])}: {message}")
        values = {}
        for one in members:
            if one.key in raw:
                values[one.name] = _read(raw[one.key], one.kind, _path(where, one.key))
            elif one.needed:
                raise WrongShape(f"{_path(where, one.key)}: is missing")
        return cls(**values)


def shown(raw: Json) -> str:
    """A value in an error message: short, whatever it is."""
    text = repr(raw)
    return text if len(text) <= 100 else f"{text[:97]}..."


@dataclass(frozen=True)
class _Member:
    name: str
    key: str
    kind: object
    needed: bool
    default: object
    omit_default: bool


@cache
def _members(cls: type[Any]) -> tuple[_Member, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_member(one, hints[one.name]) for one in fields(cls))


def _member(one: Field[Json], hint: object) -> _Member:
    kind: object = hint
    notes: list[object] = []
    if typing.get_origin(hint) is Annotated:
        kind, *notes = typing.get_args(hint)
    key = next((note.name for note in notes if isinstance(note, Key)), one.name)
    needed = one.default is MISSING and one.default_factory is MISSING
    return _Member(one.name, key, kind, needed, one.default, OMIT_DEFAULT in notes)


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _written(value: Json) -> Json:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _written(each) for key, each in value.items()}
    return [_written(each) for each in value] if isinstance(value, list | tuple) else value


def _read(raw: Json, kind: object, where: str) -> object:
    if kind is Any:
        return raw
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(raw, arguments, where)
    if origin is tuple:
        if not isinstance(raw, Sequence) or isinstance(raw, str):
            raise WrongShape(f"{where}: expected a list, got {shown(raw)}")
        return tuple(_read(each, arguments[0], f"{where}[{index}]") for index, each in enumerate(raw))
    if origin is Literal:
        if any(raw is each or (raw == each and type(raw) is type(each)) for each in arguments):
            return raw
        raise WrongShape(f"{where}: expected {' or '.join(map(repr, arguments))}, got {shown(raw)}")
    if origin is not None:
        if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
            raise WrongShape(f"{where}: expected an object, got {shown(raw)}")
        return {key: _read(each, arguments[1], _path(where, key)) for key, each in raw.items()}
    if not isinstance(kind, type):
        raise TypeError(f"{where}: no record has fields of {kind}")
    if issubclass(kind, Enum):
        if isinstance(raw, str) and raw in {each.value for each in kind}:
            return kind(raw)
        names = ", ".join(each.value for each in kind)
        raise WrongShape(f"{where}: expected one of {names}, got {shown(raw)}")
    if hasattr(kind, "from_json"):
        return kind.from_json(raw, where) if issubclass(kind, Record) else _read_foreign(raw, kind, where)
    return _read_plain(raw, kind, where)


def _read_union(raw: Json, kinds: Sequence[object], where: str) -> object:
    if raw is None and types.NoneType in kinds:
        return None
    problem: WrongShape | None = None
    for kind in kinds:
        if kind is types.NoneType:
            continue
        try:
            return _read(raw, kind, where)
        except WrongShape as wrong:
            problem = wrong
    raise problem or WrongShape(f"{where}: expected null, got {shown(raw)}")


def _read_foreign(raw: Json, kind: type[Any], where: str) -> object:
    """A dataclass of another contract, with a `from_json` of its own."""
    try:
        return kind.from_json(raw)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise WrongShape(f"{where}: {error}") from error


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _read_plain(raw: Json, kind: type, where: str) -> object:
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, kind) and (kind is bool or not isinstance(raw, bool)):
        return raw
    raise WrongShape(f"{where}: expected {_WORDS[kind]}, got {shown(raw)}")
