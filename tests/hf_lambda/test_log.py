"""Lines of the log: whole, JSON, and without a word of what the caller sent."""

from __future__ import annotations

import json

import pytest

from hf_lambda import errors, log
from hf_lambda.errors import ColdCache, EngineUnavailable, ServingError, TooLarge


def fault_of(error, **environ):
    try:
        raise error
    except type(error) as raised:
        return log.fault(raised, environ)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no entry for John Smith"),
        KeyError("a key of the caller's"),
        UnicodeDecodeError("utf-8", b"caller", 0, 1, "their bytes"),
        ServingError("of a script, with the caller's text"),
        TooLarge("a number of the caller's"),
        type("Own", (ColdCache,), {})("of a script, with the caller's text"),
    ],
)
def test_what_an_exception_says_is_not_logged_unless_it_is_asked_for(error):
    fault = fault_of(error)
    assert fault["type"] == type(error).__qualname__
    assert "message" not in fault
    assert fault["frames"][-1].startswith(f"{__file__}:") and fault["frames"][-1].endswith(" fault_of")
    assert fault_of(error, LOG_MESSAGES="1")["message"] == str(error)


def test_our_own_unavailable_errors_are_logged_with_what_they_say():
    own = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ServingError) and kind.status == 503
    ]
    assert {ColdCache, EngineUnavailable} <= set(own)
    for kind in own:
        assert fault_of(kind("warm it"))["message"] == "warm it"


def test_a_fault_has_its_frames_and_its_causes_once_each():
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise RuntimeError("outer")  # noqa: B904 - the context is what is tested
    except RuntimeError as error:
        assert error.__context__ is not None
        error.__context__.__context__ = error  # a cycle must not hang
        fault = log.fault(error)
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
        assert log.fault(error)["causes"] == []


def test_an_event_is_one_line_of_json(capsys):
    log.write("request", endpoint="a", text=object)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["event"] == "request"
