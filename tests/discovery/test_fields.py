"""The fields of each script's events, as JSON Schema."""

from __future__ import annotations

import importlib.util
import json

import pytest
from openapi_spec_validator import validate

from discovery import read_scripts
from hf_lambda import schema

IMPORT = """import typing
from typing import Annotated, Any, Literal, Optional, Union
from hf_lambda import Audio, Image, endpoint, openai, pipeline, tei
LANGUAGE = Literal["de", "fr"]
"""
TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
PICTURE = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}


def fields(tmp_path, text):
    (tmp_path / "script.py").write_text(IMPORT + text)
    return read_scripts(tmp_path)[0].fields


def of(tmp_path, annotation):
    found = fields(tmp_path, f"@endpoint\ndef handler(given: {annotation}): ...\n")
    assert found["required"] == ["given"]
    return found["properties"]["given"]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("str", TEXT),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("str | list[str]", {"anyOf": [TEXT, TEXTS]}),
        ("int | None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("Optional[int]", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("Union[str, typing.List[str]]", {"anyOf": [TEXT, TEXTS]}),
        ('"str | list[str]"', {"anyOf": [TEXT, TEXTS]}),
        ('Literal["a", 2]', {"enum": ["a", 2]}),
        ("LANGUAGE", {"enum": ["de", "fr"]}),
        ('Annotated[str, "said"]', TEXT),
        ("dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("Image", PICTURE),
        ("list[Image]", {"type": "array", "items": PICTURE}),
        ("Audio", {**PICTURE, "contentMediaType": "audio/*"}),
        ("bytes", {**PICTURE, "contentMediaType": "application/octet-stream"}),
        ("Any", {}),
        ("somewhere.Else", {}),
        ("(", None),
    ],
)
def test_a_type_is_said_as_json_schema_has_it(tmp_path, annotation, expected):
    if expected is None:
        expected, annotation = {}, '"("'
    assert of(tmp_path, annotation) == expected


def test_defaults_are_told_where_they_are_written_out(tmp_path):
    found = fields(
        tmp_path,
        "MOST = 5\n@endpoint\n"
        "def handler(text: str, top_k: int = MOST, *, a: float = 0.5, b=make(), **more): ...\n",
    )
    assert found["required"] == ["text"]
    assert found["additionalProperties"] is True
    assert found["properties"] == {
        "text": TEXT,
        "top_k": {"type": "integer", "default": 5},
        "a": {"type": "number", "default": 0.5},
        "b": {},
    }


def test_an_alias_that_names_itself_is_any_value(tmp_path):
    assert fields(tmp_path, "A = B\nB = A\n@endpoint\ndef handler(text: A): ...\n")["properties"] == {
        "text": {}
    }


def test_reading_a_script_and_running_it_say_the_same(tmp_path):
    text = (
        "@endpoint\n"
        "def handler(text: str | list[str], image: Image | None = None, kind: LANGUAGE = 'de', n: float = 1,"
        " more: dict[str, list[int]] = {}, **rest): ...\n"
    )
    found = fields(tmp_path, text)
    spec = importlib.util.spec_from_file_location("read_and_run", tmp_path / "script.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "rawPath": "/openapi.json"}
    answer = module.handler(event)
    assert answer["statusCode"] == 200
    document = json.loads(answer["body"])
    assert document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"] == found
    validate(document)


@pytest.mark.parametrize(
    "text",
    [
        "p = pipeline('text-generation', model='org/name')\nhandler = openai(p)\n",
        "p = pipeline('feature-extraction', model='org/name')\nhandler = openai(p)\n",
        "p = pipeline('feature-extraction', model='org/name')\nhandler = tei(p)\n",
        "p = pipeline('text-ranking', model='org/name')\nhandler = tei(rerank=p)\n",
        "def handler(event, context): return event['text'] + event.get('more')\n",
        "@endpoint\ndef handler(prompt: str): yield prompt\n",
    ],
)
def test_every_kind_of_handler_has_a_valid_document(tmp_path, text):
    (tmp_path / "script.py").write_text(IMPORT + text)
    (script,) = read_scripts(tmp_path)
    assert set(script.example) <= set(script.fields["properties"])
    document = schema.document("script", dict(script.fields), example=script.example, streams=script.streams)
    validate(document)
    assert document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["example"]
