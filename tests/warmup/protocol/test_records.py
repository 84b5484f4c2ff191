"""Records: written as JSON, read back equal; a wrong shape is named with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest

from warmup.protocol.records import OMIT_DEFAULT, Key, Record, WrongShape


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part(Record):
    name: str
    size: int


@dataclass(frozen=True)
class Hole(Record):
    depth: float
    hole: Literal[True] = True


@dataclass(frozen=True)
class Whole(Record):
    repo_id: Annotated[str, Key("model")]
    parts: tuple[Part | Hole, ...]
    by_name: Mapping[str, Part]
    colour: Colour
    anything: Any = None
    ready: bool = False
    weight: Annotated[float | None, OMIT_DEFAULT] = None


WHOLE = Whole("org/m", (Part("a", 1), Hole(0.5)), {"b": Part("b", 2)}, Colour.BLUE, {"x": [1]}, True, 2.5)


def test_a_record_comes_back_from_json_as_it_was() -> None:
    assert Whole.from_json(WHOLE.to_json()) == WHOLE


def test_json_has_the_names_of_the_contract_and_nothing_of_what_is_left_out() -> None:
    assert Whole("m", (), {}, Colour.RED).to_json() == {
        "model": "m",
        "parts": [],
        "by_name": {},
        "colour": "red",
        "anything": None,
        "ready": False,
    }


def test_keys_of_a_later_version_are_ignored() -> None:
    assert Whole.from_json({**WHOLE.to_json(), "new": 1}) == WHOLE


def test_a_whole_number_is_a_number_and_a_truth_value_is_none() -> None:
    assert Hole.from_json({"depth": 3}) == Hole(3.0)
    with pytest.raises(WrongShape, match="depth: expected a number, got True"):
        Hole.from_json({"depth": True})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 7}, "model: expected text, got 7"),
        ({"model": None}, "model: expected text, got None"),
        ({"parts": "ab"}, "parts: expected a list, got 'ab'"),
        ({"parts": {}}, "parts: expected a list, got {}"),
        ({"parts": [{"depth": "deep"}]}, r"parts\[0\].depth: expected a number, got 'deep'"),
        ({"by_name": {"b": {"name": "b"}}}, "by_name.b.size: is missing"),
        ({"by_name": [1]}, r"by_name: expected an object, got \[1\]"),
        ({"by_name": {"b": 3}}, "by_name.b: expected an object, got 3"),
        ({"colour": "green"}, "colour: expected one of red, blue, got 'green'"),
        ({"colour": ["red"]}, "colour: expected one of red, blue"),
        ({"ready": 1}, "ready: expected true or false, got 1"),
        ({"weight": "x" * 1000}, r"weight: expected a number, got 'x{90,96}\.\.\.$"),
    ],
)
def test_a_wrong_shape_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongShape, match=message):
        Whole.from_json({**WHOLE.to_json(), **change})


@pytest.mark.parametrize("raw", [None, [], "text", 3, True])
def test_what_is_no_object_is_no_record(raw: Any) -> None:
    with pytest.raises(WrongShape, match="expected an object"):
        Part.from_json(raw)
