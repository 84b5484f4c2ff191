"""Lines of the log: whole, JSON, and without a word of what the caller sent."""

from __future__ import annotations

import json

import pytest

from hf_lambda import log


def fault_of(message, given):
    try:
        raise ValueError(message)
    except ValueError as error:
        return log.fault(error, given)


@pytest.mark.parametrize(
    ("given", "message", "kept"),
    [
        ({"text": "John Smith"}, "no entry for John Smith in 'labels'", "no entry for [...] in 'labels'"),
        ({"text": "John Smith"}, "token 'smith' and 'Smit'", "token 'smith' and '[...]'"),
        ({"texts": ["alpha", {"deep": "beta"}]}, "alpha, then beta", "[...], then [...]"),
        ({"body": '{"text": "gamma"}'}, "cannot read gamma", "cannot read [...]"),
        ({"text": "", "top_k": 3}, "index 3 is out of range", "index 3 is out of range"),
        (None, "kept", "kept"),
    ],
)
def test_a_message_loses_what_it_quotes_of_the_caller(given, message, kept):
    assert fault_of(message, given)["message"] == kept


def test_a_fault_has_its_frames_and_its_causes_once_each():
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise RuntimeError("outer")  # noqa: B904 - the context is what is tested
    except RuntimeError as error:
        assert error.__context__ is not None
        error.__context__.__context__ = error  # a cycle must not hang
        fault = log.fault(error, None)
    assert (fault["type"], [cause["type"] for cause in fault["causes"]]) == ("RuntimeError", ["KeyError"])
    assert fault["frames"][0].endswith("test_a_fault_has_its_frames_and_its_causes_once_each")
    assert __file__ in fault["frames"][0]


def test_a_cause_that_was_suppressed_stays_out():
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise RuntimeError("outer") from None
    except RuntimeError as error:
        assert log.fault(error, None)["causes"] == []


def test_an_event_is_one_line_of_json(capsys):
    log.write("request", endpoint="a", text=object)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["event"] == "request"
