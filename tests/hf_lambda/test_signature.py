"""Events against signatures: the field, what was expected, what came."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from hf_lambda.errors import BadRequest
from hf_lambda.signature import Signature, expected


def handler(text: str | list[str], top_k: int | None = None, mode: Literal["a", "b"] = "a") -> object:
    return text, top_k, mode


def refused(function, fields, **how):
    with pytest.raises(BadRequest) as caught:
        Signature(function).bind(fields, **{"is_text": False, **how})
    return caught.value.field, caught.value.expected, caught.value.given


def test_only_what_the_event_has_is_given_to_the_handler():
    assert Signature(handler).bind({"text": "a"}, is_text=False) == {"text": "a"}
    fields = {"text": ["a"], "top_k": None, "mode": "b"}
    assert Signature(handler).bind(fields, is_text=False) == fields


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, ("text", "string or array of string", "nothing")),
        ({"text": 3}, ("text", "string or array of string", "integer")),
        ({"text": None}, ("text", "string or array of string", "null")),
        ({"text": {"a": 1}}, ("text", "string or array of string", "object")),
        ({"text": ["a", 1.5]}, ("text[1]", "string", "number")),
        ({"text": "a", "top_k": "3"}, ("top_k", "integer or null", "string")),
        ({"text": "a", "top_k": True}, ("top_k", "integer or null", "boolean")),
        ({"text": "a", "mode": "c"}, ("mode", "one of 'a', 'b'", "string")),
        ({"text": "a", "txt": 1}, ("txt", "one of the fields text, top_k, mode", "an unknown field")),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields, error):
    assert refused(handler, fields) == error


def test_a_query_has_its_numbers_parsed():
    assert Signature(handler).bind({"text": "a", "top_k": "3"}, is_text=True) == {"text": "a", "top_k": 3}
    assert refused(handler, {"text": "a", "top_k": "x"}, is_text=True)[0] == "top_k"

    def switches(yes: bool, share: float):
        return yes, share

    assert Signature(switches).bind({"yes": "TRUE", "share": "1"}, is_text=True) == {
        "yes": True,
        "share": 1.0,
    }
    assert refused(switches, {"yes": "maybe", "share": "1"}, is_text=True) == ("yes", "boolean", "string")


def test_a_value_in_an_object_is_found_by_its_place():
    def nested(scores: dict[str, int]):
        return scores

    assert refused(nested, {"scores": {"a": "b"}})[0] == "scores['a']"


def test_an_integer_is_a_number_and_a_boolean_is_neither():
    def numbers(share: float, note: Annotated[str, "shown to people"] = ""):
        return share, note

    bound = Signature(numbers).bind({"share": 1, "note": "n"}, is_text=False)
    assert (bound, type(bound["share"])) == ({"share": 1.0, "note": "n"}, float)
    assert refused(numbers, {"share": True}) == ("share", "number", "boolean")


def test_parameters_without_a_type_take_anything():
    def loose(text, other: object = None, more: Any = None):
        return text, other, more

    fields = {"text": {"a": [1]}, "other": 1, "more": None}
    assert Signature(loose).bind(fields, is_text=False) == fields


def test_a_handler_with_open_keywords_takes_unknown_fields():
    def open_ended(text: str, **options):
        return text, options

    assert Signature(open_ended).bind({"text": "a", "x": 1}, is_text=False) == {"text": "a", "x": 1}


def test_a_signature_that_no_event_can_fill_is_refused():
    def positional(text, /):
        return text

    def variable(*texts):
        return texts

    def impossible(text: complex | memoryview):
        return text

    for function in (positional, variable):
        with pytest.raises(TypeError, match="events have names"):
            Signature(function)
    with pytest.raises(TypeError, match=r"impossible\(text.*no JSON value has that type"):
        Signature(impossible)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (list, "array"),
        (Any, "any JSON value"),
        (dict[str, int], "object"),
        (list[list[float]], "array of array of number"),
    ],
)
def test_types_are_told_in_the_words_of_json(kind, words):
    assert expected(kind) == words
