"""What an answer is held to, and how calls are read out of its text."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_lambda.errors import BadRequest
from hf_lambda.structure import FORMS, Argued, Called, CallReader, Said, Structure, structure_of

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
BY_NAME = {form.name: form for form in FORMS}
TEMPLATES = {
    "hermes": "{{ tools }} <tool_call>{{ arguments }}</tool_call>",
    "mistral": '{{ tools }} [TOOL_CALLS] "arguments": ',
    "llama": '{{ tools }} {"name": "x", "parameters": {}}',
}


def _read(form, text, cuts=()):
    """What is said, and [name, arguments] of each call, of a text that comes in pieces."""
    reader = CallReader(form)
    ends = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    parts = [part for start, end in pairwise(ends) for part in reader.feed(text[start:end])]
    said = ""
    calls: list[list[str]] = []
    for part in [*parts, *reader.end()]:
        if isinstance(part, Said):
            said += part.text
        elif isinstance(part, Called):
            assert part.index == len(calls)
            calls.append([part.name, ""])
        else:
            assert isinstance(part, Argued) and part.index == len(calls) - 1
            calls[-1][1] += part.text
    return said, calls


def _written(form, calls):
    each = [
        f'{form.open}{{"name": "{name}{form.to_arguments}{arguments}}}{form.close}'
        for name, arguments in calls
    ]
    return form.begin + (form.between or "").join(each) + form.end


ARGUMENTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none()
        | st.integers()
        | st.text(max_size=8)
        | st.sampled_from(['{"name": "', "<tool_call>\n", "]}"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
@given(
    made=st.lists(st.tuples(st.sampled_from(["weather", "a-b_c"]), ARGUMENTS), min_size=1, max_size=3),
    cuts=st.lists(st.integers(min_value=0), max_size=12),
    spoken=st.sampled_from(["", "Let me see. ", "a <tool", "{"]),
)
def test_calls_are_read_wherever_their_text_is_cut(name, made, cuts, spoken):
    form = BY_NAME[name]
    calls = [[called, json.dumps(arguments)] for called, arguments in made[: None if form.between else 1]]
    before = spoken if form.follows_text else ""
    assert _read(form, before + _written(form, calls), cuts) == (before, calls)


@pytest.mark.parametrize("name", BY_NAME)
@given(text=st.text(alphabet='ab <tool_call>\n{"name": [', max_size=40), cuts=st.lists(st.integers(0, 40)))
def test_text_without_a_call_is_said_whole(name, text, cuts):
    form = BY_NAME[name]
    if '{"name": "' not in text:
        assert _read(form, text, cuts) == (text, [])


def test_marks_that_are_no_text_are_not_waited_for():
    form = BY_NAME["mistral"]
    calls = [["weather", '{"city": "Rome"}'], ["weather", "{}"]]
    assert _read(form, _written(form, calls).removeprefix("[TOOL_CALLS]"), range(60)) == ("", calls)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_call_that_is_cut_has_the_arguments_so_far_and_none_without_its_name(name):
    form = BY_NAME[name]
    text = _written(form, [["weather", '{"city": "Rome"}']])
    assert _read(form, text[: text.index("Rome") + 2]) == ("", [["weather", '{"city": "Ro']])
    assert _read(form, text[: text.index("weather") + 3]) == ("", [])


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_form_of_calls_is_known_by_the_chat_template(name):
    structure = structure_of({"tools": [TOOL], "tool_choice": "auto"}, TEMPLATES[name].__contains__)
    assert structure is not None and structure.form is BY_NAME[name]
    assert not structure.must_call


def test_nothing_is_asked_for_where_any_text_is_an_answer():
    for chosen in ({}, {"tools": [TOOL]}, {"tools": [TOOL], "tool_choice": "none"}):
        assert structure_of(chosen, "".__contains__) is None
    assert structure_of({"response_format": {"type": "text"}}, "".__contains__) is None
    assert structure_of({"response_format": {"type": "json_object"}}, "".__contains__) == Structure(
        {"type": "object"}
    )


def test_a_tool_that_is_named_is_called_once():
    other = {"type": "function", "function": {"name": "time"}}
    named = {"type": "function", "function": {"name": "time"}}
    structure = structure_of({"tools": [TOOL, other], "tool_choice": named}, TEMPLATES["hermes"].__contains__)
    assert structure is not None
    assert ([tool.name for tool in structure.tools], structure.must_call) == (["time"], True)
    assert not structure.is_parallel
    assert structure.tools[0].parameters["additionalProperties"] is False  # it takes none


@pytest.mark.parametrize(
    ("chosen", "field", "words"),
    [
        ({"response_format": {"type": "grammar"}}, "response_format", "json_object or json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema", "JSON Schema"),
        ({"tool_choice": "required"}, "tool_choice", "tools beside it"),
        ({"tools": [{}]}, "tools[0]", '"function"'),
        ({"tools": [TOOL, {**TOOL, "type": "custom"}]}, "tools[1].type", "given 'custom'"),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name", "letters, digits"),
        ({"tools": [TOOL, TOOL]}, "tools", "weather twice"),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
            "of an object",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "'allowed_tools'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "no"}}},
            "tool_choice",
            "expected one of weather",
        ),
    ],
)
def test_what_is_none_of_openais_is_named(chosen, field, words):
    with pytest.raises(BadRequest, match=words) as refused:
        structure_of({"tool_choice": "auto", **chosen}, TEMPLATES["hermes"].__contains__)
    assert refused.value.field == field


@pytest.mark.parametrize("name", TEMPLATES)
def test_json_or_calls_are_told_apart_or_refused(name):
    chosen = {"tools": [TOOL], "tool_choice": "auto", "response_format": {"type": "json_object"}}
    if BY_NAME[name].follows_text:
        structure = structure_of(chosen, TEMPLATES[name].__contains__)
        assert structure is not None and structure.schema == {"type": "object"}
    else:
        with pytest.raises(BadRequest, match="calls are JSON themselves"):
            structure_of(chosen, TEMPLATES[name].__contains__)


@pytest.mark.parametrize("template", ["no such thing", "{{ tools }} <tool_call><function=arguments>"])
def test_a_model_that_calls_in_no_known_way_is_refused(template):
    with pytest.raises(BadRequest, match="chat template"):
        structure_of({"tools": [TOOL], "tool_choice": "auto"}, template.__contains__)
