"""Events of every kind that reaches a Lambda, and the answers to them."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib

import numpy as np
import pytest

from hf_lambda import events
from hf_lambda.errors import BadRequest, TooLarge


def url_event(body=None, **changes):
    """A Function URL's, payload version 2.0."""
    return {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": body, **changes}


def test_a_direct_event_is_the_fields_themselves():
    assert events.read({"text": "a"}) == events.Request({"text": "a"})
    assert not events.is_http({"text": "a", "version": "2.0"})


@pytest.mark.parametrize("event", ["text", ["text"], None, 3])
def test_a_direct_event_must_be_an_object(event):
    with pytest.raises(BadRequest, match="the event as a JSON object"):
        events.read(event)


def test_a_function_url_brings_json_in_its_body():
    assert events.read(url_event('{"text": "é"}')).fields == {"text": "é"}


def test_a_body_may_be_base64():
    body = base64.b64encode('{"text": "é"}'.encode()).decode()
    assert events.read(url_event(body, isBase64Encoded=True)).fields == {"text": "é"}
    for broken, reason in (("%%%", "base64"), (base64.b64encode(b"\xff\xfe").decode(), "no text")):
        with pytest.raises(BadRequest, match=reason):
            events.read(url_event(broken, isBase64Encoded=True))


def encoded(data, encoding, kind="application/json"):
    headers = {"Content-Encoding": encoding, "Content-Type": kind}
    return url_event(base64.b64encode(data).decode(), isBase64Encoded=True, headers=headers)


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_body_is_decompressed(encoding, compress):
    assert events.read(encoded(compress(b'{"text": "a"}'), encoding)).fields == {"text": "a"}
    image = encoded(compress(b"\xff\xd8"), encoding, "image/jpeg")
    assert events.read(image).file == b"\xff\xd8"


@pytest.mark.parametrize(
    ("data", "encoding", "said"),
    [
        (b'{"text": "a"}', "gzip", "a gzip body, as Content-Encoding says"),
        (gzip.compress(b'{"text": "a"}', mtime=0)[:-4], "gzip", "a whole gzip body"),
        (gzip.compress(b" " * (6 * 2**20 + 1), mtime=0), "gzip", "at most 6 MB when it is decompressed"),
        (b"x", "br", "plain, gzip or deflate"),
    ],
)
def test_a_compressed_body_that_cannot_be_taken_is_refused(data, encoding, said):
    with pytest.raises(BadRequest, match=said):
        events.read(encoded(data, encoding))


@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_byte_order_mark_before_the_body_is_skipped(is_encoded):
    text = '\ufeff{"text": "a"}'
    body = base64.b64encode(text.encode()).decode() if is_encoded else text
    assert events.read(url_event(body, isBase64Encoded=is_encoded)).fields == {"text": "a"}


def test_without_a_body_the_query_gives_the_fields_as_text():
    event = url_event(queryStringParameters={"text": "a", "top_k": "2"})
    assert events.read(event) == events.Request({"text": "a", "top_k": "2"}, is_text=True)
    assert events.read(url_event()).fields == {}


def test_api_gateway_of_version_1_is_understood_too():
    event = {"httpMethod": "POST", "requestContext": {"stage": "prod"}, "body": '{"text": "a"}'}
    assert events.is_http(event)
    assert events.read(event).fields == {"text": "a"}


@pytest.mark.parametrize("body", ["text", '{"text": ', "[1]", '"text"'])
def test_a_body_must_be_a_json_object(body):
    with pytest.raises(BadRequest, match="JSON object"):
        events.read(url_event(body))


DEEP = 100_000
BAD_VALUES = {
    "endless nesting": ("[" * DEEP + "]" * DEEP, "at most 100 deep"),
    "nesting that Python reads": ("[" * 300 + "]" * 300, "at most 100 deep"),
    "objects": ('{"a":' * 200 + "1" + "}" * 200, "at most 100 deep"),
    "an infinity": ("[1, 1e400]", "`text[1]`: expected a number that a computer can hold"),
    "a negative infinity": ('{"a": -1e999}', "`text.a`: expected a number that a computer can hold"),
    "NaN": ("NaN", "text that is not JSON"),
    "Infinity": ("[Infinity]", "text that is not JSON"),
    "66 bits": (str(2**65), "`text`: expected a whole number of at most 64 bits"),
    "5,000 digits": ("9" * 5000, "JSON"),
    "half a character": (r'["\ud800"]', "`text[0]`: expected text of whole characters"),
    "half a character in a name": (r'{"\udfff": 1}', "`text`: expected text of whole characters"),
}


@pytest.mark.parametrize(("value", "said"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_what_json_can_say_and_nothing_can_use_is_refused_with_its_place(value, said):
    with pytest.raises(BadRequest, match=re.escape(said)):
        events.read(url_event(f'{{"text": {value}}}'))


FORGED = {
    "no method": {"requestContext": {"http": {}}, "queryStringParameters": ["a"]},
    "text for a context": {"requestContext": {"http": "x"}, "headers": ["content-type"], "body": "{}"},
    "a body of numbers": {"requestContext": {"http": {}}, "body": [1, 2]},
    "a file of numbers": {
        "requestContext": {"http": {}},
        "body": 5,
        "headers": {"content-type": "image/png"},
        "isBase64Encoded": True,
    },
    "headers of numbers": {"requestContext": {"http": {}}, "body": "x", "headers": {"content-type": 3}},
    "text that is no base64": {"requestContext": {"http": {}}, "body": "\u00e9", "isBase64Encoded": 1},
}


@pytest.mark.parametrize("event", FORGED.values(), ids=FORGED)
def test_a_direct_event_that_looks_like_http_and_is_not_is_a_bad_request(event):
    with pytest.raises(BadRequest):
        events.read(event)


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("name", ["x" * 7_000_000, "\ud800" * 9, "\U0001f600" * 3_000_000, "\x00"])
def test_an_error_is_short_and_can_be_said_whatever_the_caller_named(http, name):
    body = BadRequest(name, name, name, name).body()
    body["error"]["more"] = {name: [float("nan"), 10**400, {1, 2}, object(), [[[[name]]]]]}
    reply = events.error_answer(400, body, http=http)
    assert reply["statusCode"] == 400
    assert len(json.dumps(reply, allow_nan=False)) < 200_000
    assert json.dumps(reply, ensure_ascii=False).encode()


def test_an_error_of_many_parts_is_short_too():
    many = [["x" * 5000] * 100] * 100
    reply = events.error_answer(400, {"error": {"a": many, "b": [many] * 100}}, http=False)
    assert len(json.dumps(reply)) < events.MAX_ANSWER_BYTES


def test_a_direct_answer_has_status_and_body_alone():
    assert events.answer(200, {"label": "A"}, http=False) == {"statusCode": 200, "body": {"label": "A"}}


def test_an_http_answer_has_json_text_and_its_type():
    reply = events.answer(200, {"label": "é"}, http=True)
    assert reply["headers"] == {"content-type": "application/json"}
    assert json.loads(reply["body"]) == {"label": "é"}


def test_numbers_of_numpy_become_plain_ones():
    body = {"score": np.float32(0.5), "vector": np.ones(2), "ids": (np.int64(3),), "none": None}
    plain = events.answer(200, body, http=False)["body"]
    assert plain == {"score": 0.5, "vector": [1.0, 1.0], "ids": [3], "none": None}
    assert type(plain["score"]) is float


@pytest.mark.parametrize("body", [float("nan"), [float("inf")], object()])
def test_what_json_cannot_say_is_a_fault(body):
    with pytest.raises((ValueError, TypeError)):
        events.answer(200, body, http=False)


@pytest.mark.parametrize("http", [False, True])
def test_an_answer_that_lambda_cannot_return_says_what_to_do(http):
    with pytest.raises(TooLarge, match=r"has 6\.\d MB, Lambda returns at most 6 MB: send fewer"):
        events.answer(200, "x" * (6 * 2**20), http=http)
    assert events.answer(200, "x" * (5 * 2**20), http=http)["statusCode"] == 200


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "IMAGE/PNG; q=1", "audio/x-wav", "application/octet-stream", "video/mp4"]
)
def test_a_body_of_a_file_is_kept_as_bytes_and_the_query_gives_the_fields(content_type):
    event = url_event(
        base64.b64encode(b"\xff\xd8\xff").decode(),
        isBase64Encoded=True,
        headers={"Content-Type": content_type},
        queryStringParameters={"top_k": "2"},
    )
    assert events.read(event) == events.Request({"top_k": "2"}, is_text=True, file=b"\xff\xd8\xff")


def test_json_stays_json_whatever_else_the_headers_say():
    event = url_event('{"text": "a"}', headers={"content-type": "application/json", "accept": "image/png"})
    assert events.read(event).fields == {"text": "a"}


@pytest.mark.parametrize(("body", "encoded"), [("\ufffd\ufffd", False), ("%%%", True)])
def test_a_file_that_came_as_text_is_refused(body, encoded):
    event = url_event(body, isBase64Encoded=encoded, headers={"content-type": "image/jpeg"})
    with pytest.raises(BadRequest, match="base64"):
        events.read(event)


@pytest.mark.parametrize(
    "text", ["plain", 'with "quotes" and \\ and \n and \x01', "é", "日本", "🙂 and €", "\u2028"]
)
def test_the_size_of_an_http_answer_is_what_the_runtime_writes(text, monkeypatch):
    reply = events.answer(200, {"text": text * 100}, http=True)
    written = json.dumps(reply["body"])[1:-1]
    monkeypatch.setattr(events, "_ENVELOPE_BYTES", 0)
    monkeypatch.setattr(events, "MAX_ANSWER_BYTES", len(written))
    assert events.answer(200, {"text": text * 100}, http=True) == reply
    monkeypatch.setattr(events, "MAX_ANSWER_BYTES", len(written) - 1)
    with pytest.raises(TooLarge):
        events.answer(200, {"text": text * 100}, http=True)


def test_an_http_answer_is_serialised_once(monkeypatch):
    written, dumps = [], json.dumps

    def watched(value, **options):
        written.append(value)
        return dumps(value, **options)

    monkeypatch.setattr(json, "dumps", watched)
    events.answer(200, {"label": "é"}, http=True)
    assert written == [{"label": "é"}]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"text": "\ud83d"}, "text"),
        ({"text": ["fine", "a \udc00 b"]}, "text[1]"),
        ({"a": {"b": [{"c": "\ud83d"}]}}, "a.b[0].c"),
        ({"\ud83d": 1}, None),
        ({"a": {"\udfff": 1}}, "a"),
    ],
)
@pytest.mark.parametrize("http", [False, True])
def test_half_a_character_is_refused_wherever_it_is(fields, place, http):
    event = url_event(json.dumps(fields)) if http else fields
    with pytest.raises(BadRequest, match="text of whole characters, given half of one") as caught:
        events.read(event)
    assert caught.value.field == place
    json.dumps(caught.value.body(), ensure_ascii=False).encode()  # the answer itself can be sent


def test_whole_characters_beyond_the_basic_plane_are_text():
    assert events.read({"text": "🙂 \U0010ffff"}).fields["text"] == "🙂 \U0010ffff"
    assert events.read(url_event('{"text": "\\ud83d\\ude42"}')).fields["text"] == "🙂"
