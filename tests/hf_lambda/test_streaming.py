"""Handlers that yield: whole answers, JSON lines, and what goes wrong on the way."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from hf_lambda import endpoint
from hf_lambda.errors import Unprocessable
from hf_lambda.streaming import STREAMS, Stream

URL = {
    "version": "2.0",
    "rawPath": "/",
    "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "path": "/"}},
}


@endpoint
def words(text: str):
    yield from text.split(" ")


@endpoint
def numbers(count: int):
    for number in range(count):
        yield {"number": number}


@endpoint
def breaks(at: int):
    yield from range(at)
    raise RuntimeError("a fault")


@endpoint
def refuses(at: int):
    yield from range(at)
    raise Unprocessable("at", "no further")


def _over_http(**fields):
    return {**URL, "body": json.dumps(fields)}


def _lines(stream):
    return [json.loads(line) for line in b"".join(stream.pieces).decode().splitlines()]


@pytest.fixture
def streamed(monkeypatch):
    monkeypatch.setenv(STREAMS, "1")


def test_without_stream_the_answer_is_all_that_is_yielded():
    assert words({"text": "a b c"}) == {"statusCode": 200, "body": "abc"}
    assert numbers({"count": 2}) == {"statusCode": 200, "body": [{"number": 0}, {"number": 1}]}
    assert numbers({"count": 0}) == {"statusCode": 200, "body": []}
    assert words(_over_http(text="a b"))["body"] == '"ab"'


def test_with_stream_it_is_json_lines_whichever_call_carries_them(streamed):
    direct, http = words({"text": "a b", "stream": True}), words(_over_http(text="a b", stream=True))
    assert isinstance(direct, Stream)
    assert (direct.http, http.http) == (False, True)
    assert _lines(direct) == _lines(http) == ["a", "b"]
    assert http.headers["content-type"] == "application/x-ndjson"


def test_values_come_one_by_one_and_not_before_they_are_asked_for(streamed):
    made = []

    @endpoint
    def counts():
        for number in range(5):
            made.append(number)
            yield number

    pieces = iter(counts({"stream": True}).pieces)
    assert made == [0]  # the first one decides the status
    assert [next(pieces), next(pieces)] == [b"0\n", b"1\n"]
    assert made == [0, 1]


def test_a_runtime_that_cannot_stream_gets_the_lines_at_once():
    answer = words(_over_http(text="a b", stream=True))
    assert answer == {
        "statusCode": 200,
        "headers": {"content-type": "application/x-ndjson"},
        "body": '"a"\n"b"\n',
    }
    assert words({"text": "a b", "stream": True}) == {"statusCode": 200, "body": '"a"\n"b"\n'}


def test_what_fails_before_the_first_value_has_a_status_of_its_own(streamed):
    assert words({"stream": True})["statusCode"] == 400
    assert refuses({"at": 0, "stream": True})["statusCode"] == 422
    assert breaks({"at": 0, "stream": True})["statusCode"] == 500


def test_what_fails_on_the_way_is_the_last_line_and_the_log_says_what_was_sent(streamed, capsys):
    assert _lines(refuses({"at": 2, "stream": True}))[2]["error"]["message"] == "no further"
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in logged] == ["broken_off", "request"]
    assert (logged[0]["sent_pieces"], "no further" in json.dumps(logged)) == (2, False)
    *sent, last = _lines(breaks({"at": 3, "stream": True}))
    assert sent == [0, 1, 2]
    assert last["error"]["type"] == "InternalError"
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in logged] == ["fault", "request"]
    assert (logged[0]["sent_pieces"], logged[0]["sent_bytes"]) == (3, 6)
    assert logged[0]["id"] == last["error"]["id"]


def test_a_client_that_goes_away_ends_the_generator_and_the_request_is_logged(streamed, capsys):
    ended = []

    @endpoint
    def endless():
        try:
            while True:
                yield "x"
        finally:
            ended.append(True)

    pieces = iter(endless({"stream": True}).pieces)
    next(pieces)
    pieces.close()
    assert ended == [True]
    assert json.loads(capsys.readouterr().out)["event"] == "request"


def test_stream_is_a_truth_value_and_a_handlers_own_parameter_where_it_has_one(streamed):
    assert words({"text": "a", "stream": "yes"})["body"]["error"]["field"] == "stream"

    @endpoint
    def own(stream: str):
        yield stream

    assert own({"stream": "of words"}) == {"statusCode": 200, "body": "of words"}


def test_a_function_that_returns_knows_no_stream():
    @endpoint
    def plain(text: str):
        return text

    assert plain({"text": "a", "stream": True})["body"]["error"]["field"] == "stream"


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*values, **named):
        return function(*values, **named)

    return wrapper


def test_a_generator_under_a_decorator_is_streamed_and_what_that_makes_of_it_answered(streamed):
    @endpoint
    @_marked
    def letters(text: str):
        yield from text

    assert letters({"text": "ab"}) == {"statusCode": 200, "body": "ab"}
    assert _lines(letters({"text": "ab", "stream": True})) == ["a", "b"]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(text: str):
            return {"count": len(list(function(text)))}

        return wrapper

    @endpoint
    @counted
    def counts(text: str):
        yield from text

    assert counts({"text": "ab"}) == {"statusCode": 200, "body": {"count": 2}}
    assert _lines(counts({"text": "ab", "stream": True})) == [{"count": 2}]


@pytest.mark.parametrize("made", [iter, lambda text: map(str.upper, text), lambda text: (c for c in text)])
def test_an_iterator_that_is_returned_is_answered_whole(made):
    @endpoint
    def letters(text: str):
        return made(text)

    assert letters({"text": "ab"})["body"].lower() == "ab"


def test_a_first_value_that_is_no_json_has_a_status_of_its_own(streamed):
    @endpoint
    def objects(first: bool):
        yield object() if first else 1
        yield object()

    assert objects({"first": True, "stream": True})["statusCode"] == 500
    assert _lines(objects({"first": False, "stream": True}))[1]["error"]["type"] == "InternalError"


def test_a_function_that_has_to_be_awaited_is_no_handler():
    async def answers(text: str):
        return text

    async def yields(text: str):
        yield text

    for function in (answers, yields):
        with pytest.raises(TypeError, match="Lambda does not await: write `def`, without async"):
            endpoint(function)
