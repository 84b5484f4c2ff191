"""Handlers that take pictures and sound: from a raw body, from JSON, with Hugging Face's own field names."""

from __future__ import annotations

import json
from typing import Annotated

import pytest

from hf_lambda import Audio, Image, endpoint
from tests.media_support import base64_of, encoded, picture, sound, tones

PNG, WAV = encoded(picture()), sound(tones(0.1))


@endpoint
def describe(image: Image, top_k: int = 5) -> object:
    return [image.format, image.width, image.height, top_k]


@endpoint
def listen(audio: Audio | list[Audio], task: str = "transcribe") -> object:
    sounds = audio if isinstance(audio, list) else [audio]
    return [[sound.format for sound in sounds], task]


@endpoint
def count(data: bytes) -> object:
    return len(data)


def over_http(body, content_type, query=None):
    return {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": content_type},
        "queryStringParameters": query or {},
        "body": base64_of(body),
        "isBase64Encoded": True,
    }


def answered(handler, event):
    reply = handler(event)
    body = reply["body"]
    return reply["statusCode"], json.loads(body) if "headers" in reply else body


@pytest.mark.parametrize(
    "event",
    [
        {"image": base64_of(PNG), "top_k": 3},
        {"image": f"data:image/png;base64,{base64_of(PNG)}", "top_k": 3},
        {"inputs": base64_of(PNG), "parameters": {"top_k": 3}},
        over_http(PNG, "image/png", {"top_k": "3"}),
        over_http(PNG, "application/octet-stream", {"top_k": "3"}),
        over_http(json.dumps({"image": base64_of(PNG), "top_k": 3}).encode(), "application/json"),
    ],
)
def test_every_way_to_send_a_picture_reaches_the_handler(event):
    assert answered(describe, event) == (200, ["PNG", 53, 37, 3])


def test_sound_comes_alone_or_in_a_list():
    assert answered(listen, {"audio": base64_of(WAV)}) == (200, [["WAV"], "transcribe"])
    assert answered(listen, {"audio": [base64_of(WAV)] * 2}) == (200, [["WAV", "WAV"], "transcribe"])
    event = over_http(WAV, "audio/wav", {"task": "translate"})
    assert answered(listen, event) == (200, [["WAV"], "translate"])


def test_bytes_are_any_file():
    assert answered(count, over_http(b"%PDF-1.7", "application/pdf")) == (200, 8)
    assert answered(count, {"data": base64_of(b"abc")}) == (200, 3)
    status, body = answered(count, {"data": "no base64!"})
    assert (status, body["error"]["field"]) == (400, "data")


def test_inputs_of_several_fields_are_the_fields():
    @endpoint
    def ask(question: str, context: str, top_k: int = 1) -> object:
        return [question, context, top_k]

    event = {"inputs": {"question": "q", "context": "c"}, "parameters": {"top_k": 2}}
    assert answered(ask, event) == (200, ["q", "c", 2])
    status, body = answered(ask, {"inputs": "q", "parameters": [1]})
    assert (status, body["error"]["field"]) == (400, "parameters")


def test_inputs_go_to_the_parameter_that_parameters_leave_open():
    @endpoint
    def look(labels: list[str], image: Image, top_k: int = 1) -> object:
        return [labels, image.format, top_k]

    @endpoint
    def only_named(top_k: int = 1, *, image: Image) -> object:
        return [image.format, top_k]

    event = {"inputs": base64_of(PNG), "parameters": {"labels": ["a"], "top_k": 2}}
    assert answered(look, event) == (200, [["a"], "PNG", 2])
    assert answered(only_named, {**event, "parameters": {"top_k": 2}}) == (200, ["PNG", 2])


def test_a_file_as_the_body_is_for_every_type_that_takes_one():
    @endpoint
    def several(images: list[Image] | None = None) -> object:
        return len(images or [])

    @endpoint
    def one_or_more(image: list[Image] | Image) -> object:
        return isinstance(image, Image)

    @endpoint
    def maybe(text: str = "", *, image: Annotated[Image | None, "a picture"] = None) -> object:
        return image is not None

    for handler, expected in ((several, 1), (one_or_more, True), (maybe, True)):
        assert answered(handler, over_http(PNG, "Image/PNG; q=1")) == (200, expected)


def test_a_handler_with_inputs_of_its_own_gets_them_as_they_are():
    @endpoint
    def own(inputs: str, parameters: dict[str, object] | None = None) -> object:
        return [inputs, parameters]

    assert answered(own, {"inputs": "a", "parameters": {"b": 1}}) == (200, ["a", {"b": 1}])


@pytest.mark.parametrize(
    ("event", "status", "field"),
    [
        ({"image": 3}, 400, "image"),
        ({"image": "https://example.com/a.png"}, 400, "image"),
        ({"image": base64_of(WAV)}, 422, "image"),
        ({}, 400, "image"),
        (over_http(WAV, "image/png"), 422, "image"),
        (over_http(PNG[:20], "image/png"), 422, "image"),
        (over_http(PNG[:400], "image/png"), 422, None),  # found while decoding, not while checking fields
        (over_http(PNG, "image/png", {"top_k": "x"}), 400, "top_k"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_field(event, status, field):
    @endpoint
    def decode(image: Image, top_k: int = 5) -> object:
        return image.pillow().size

    got, body = answered(decode, event)
    assert (got, body["error"]["field"]) == (status, field)


def test_the_place_of_a_broken_sound_in_a_list_is_named():
    status, body = answered(listen, {"audio": [base64_of(WAV), base64_of(PNG)]})
    assert (status, body["error"]["field"]) == (422, "audio[1]")


def test_an_endpoint_of_texts_takes_no_file():
    @endpoint
    def read(text: str) -> object:
        return text

    status, body = answered(read, over_http(PNG, "image/png"))
    assert status == 400
    assert "takes no file" in body["error"]["message"]


def test_a_text_that_is_no_picture_stays_text_where_both_are_taken():
    @endpoint
    def either(value: Image | str) -> object:
        return type(value).__name__

    assert answered(either, {"value": base64_of(PNG)}) == (200, "Image")
    for text in ("hello there", "hello123"):  # the second one is base64, of no picture
        assert answered(either, {"value": text}) == (200, "str")


@pytest.mark.parametrize(
    ("content_type", "body", "given"),
    [
        ("multipart/form-data; boundary=X", b"--X\r\n\r\n" + PNG + b"\r\n--X--", "multipart/form-data"),
        ("application/x-www-form-urlencoded", PNG, "application/x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded", b"image=abc", "application/x-www-form-urlencoded"),
        ("binary/octet-stream", WAV, "binary/octet-stream"),
        ("text/plain", b"a cat", "text/plain"),
        ("", PNG, "none, with a body that is no text"),
        ("application/json", PNG, "something that is no text"),
        ("application/json", b"a cat", "text that is not JSON"),
        ("", b"a cat", "text that is not JSON"),
    ],
)
def test_a_body_of_another_kind_is_refused_by_its_content_type(content_type, body, given):
    status, answer = answered(describe, over_http(body, content_type))
    assert (status, answer["error"]["given"]) == (400, given)
    if not given.endswith(("JSON", "something that is no text")):
        assert answer["error"]["field"] == "content-type"
        assert "application/octet-stream" in answer["error"]["expected"]


def test_json_is_read_whatever_its_content_type_says():
    body = json.dumps({"image": base64_of(PNG)}).encode()
    for content_type in ("application/x-www-form-urlencoded", "text/plain; charset=utf-8", ""):
        assert answered(describe, over_http(body, content_type))[0] == 200
