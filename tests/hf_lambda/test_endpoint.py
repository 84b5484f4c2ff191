"""A typed function as a Lambda handler: answers, errors, the log."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hf_lambda import endpoint
from hf_lambda.errors import ColdCache, Unprocessable
from hf_lambda.inputs import Single
from hf_lambda.log import current_trace, note_truncated

LABELS: dict[str, str] = {}
CONTEXT = SimpleNamespace(aws_request_id="request-1")


@endpoint
def echo(text: str | list[str], top_k: int | None = None) -> object:
    return {"text": text, "top_k": top_k}


def logged(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_direct_event_gets_exactly_status_and_body():
    assert echo({"text": "a"}, CONTEXT) == {"statusCode": 200, "body": {"text": "a", "top_k": None}}


def test_a_function_url_gets_json():
    event = {"version": "2.0", "requestContext": {"http": {}}, "body": '{"text": "a", "top_k": 2}'}
    reply = echo(event, CONTEXT)
    assert (reply["statusCode"], json.loads(reply["body"])) == (200, {"text": "a", "top_k": 2})


def test_a_wrong_event_is_400_with_field_and_type():
    assert echo({"text": 3}, CONTEXT) == {
        "statusCode": 400,
        "body": {
            "error": {
                "type": "BadRequest",
                "field": "text",
                "expected": "string or array of string",
                "given": "integer",
                "message": "`text`: expected string or array of string, given integer",
            }
        },
    }


@pytest.mark.parametrize(
    ("error", "status"), [(ColdCache("warm it: x"), 503), (Unprocessable("text", "too long"), 422)]
)
def test_errors_of_serving_have_their_own_status(error, status):
    @endpoint
    def failing(text: str) -> object:
        raise error

    reply = failing({"text": "a"}, CONTEXT)
    assert reply["statusCode"] == status
    assert reply["body"]["error"]["type"] == type(error).__name__
    assert reply["body"]["error"]["message"] == str(error)


def test_an_answer_too_large_for_lambda_is_413():
    @endpoint
    def large(text: str) -> object:
        return "x" * 7_000_000

    assert large({"text": "a"}, CONTEXT)["statusCode"] == 413


def test_a_fault_is_500_with_an_id_that_the_log_has_and_the_caller_learns_nothing(capsys):
    @endpoint
    def faulty(text: str) -> object:
        try:
            return LABELS[text]
        except KeyError as error:
            raise RuntimeError(f"cannot handle {text!r} in table 7") from error

    secret = "mein secret diagnosis"
    reply = faulty({"text": secret}, CONTEXT)
    assert reply["statusCode"] == 500
    assert reply["body"]["error"] == {
        "type": "InternalError",
        "id": "request-1",
        "message": "the endpoint failed; its log has this id",
    }
    fault, request = logged(capsys)
    assert fault["id"] == request["request_id"] == "request-1"
    assert fault["error"]["type"] == "RuntimeError"
    assert fault["error"]["causes"][0]["type"] == "KeyError"
    assert "faulty" in fault["error"]["frames"][-1]
    assert "message" not in fault["error"]
    assert not any(word in json.dumps([fault, request]) for word in secret.split())


def test_one_answer_is_taken_out_of_its_list_and_a_list_stays():
    @endpoint
    def classify(text: str | list[str]) -> object:
        return (
            Single([{"label": "A"}]) if isinstance(text, str) else [Single([{"label": "A"}]), {"label": "B"}]
        )

    assert classify({"text": "a"}, CONTEXT)["body"] == {"label": "A"}
    assert classify({"text": ["a", "b"]}, CONTEXT)["body"] == [{"label": "A"}, {"label": "B"}]


def test_every_request_leaves_one_line_with_its_phases_and_never_its_text(capsys, monkeypatch):
    monkeypatch.setenv("ENDPOINT_NAME", "sentiment")

    @endpoint
    def classify(text: str) -> object:
        trace = current_trace.get()
        assert trace is not None
        trace.infer("onnx-int8", 12.34)
        trace.loaded(100.0)
        return {"label": "A"}

    for _ in range(2):
        classify({"text": "private words"}, CONTEXT)
    cold, warm = logged(capsys)
    assert list(cold) == [
        *("event", "endpoint", "cold", "engine", "import_ms", "load_ms", "infer_ms", "total_ms", "status"),
        "request_id",
    ]
    assert (cold["event"], cold["endpoint"], cold["engine"]) == ("request", "sentiment", "onnx-int8")
    assert (cold["cold"], warm["cold"]) == (True, False)
    assert (cold["infer_ms"], cold["load_ms"], cold["status"]) == (12.3, 100.0, 200)
    assert cold["import_ms"] > 0 == warm["import_ms"]
    assert "private" not in json.dumps([cold, warm])


def test_an_answer_to_texts_that_were_cut_says_so_in_the_log_and_over_http(capsys):
    @endpoint
    def classify(text: str | list[str]) -> object:
        note_truncated(2)
        note_truncated(1)
        return {"label": "A"}

    @endpoint
    def each(text: str) -> object:
        note_truncated(1)
        yield {"label": "A"}

    over_http = {"requestContext": {"http": {}}, "version": "2.0", "body": '{"text": "a"}'}
    assert classify({"text": "a"}, CONTEXT) == {"statusCode": 200, "body": {"label": "A"}}
    assert classify(over_http, CONTEXT)["headers"]["truncated-inputs"] == "3"
    assert each({**over_http, "body": '{"text": "a", "stream": true}'}, CONTEXT)["headers"] == {
        "content-type": "application/x-ndjson",
        "truncated-inputs": "1",
    }
    assert [line["truncated_inputs"] for line in logged(capsys)] == [3, 3, 1]
    assert "truncated-inputs" not in echo(over_http, CONTEXT)["headers"]
    assert "truncated_inputs" not in logged(capsys)[0]


def test_without_a_context_a_request_still_has_an_id(capsys):
    echo({"text": "a"}, None)
    assert len(logged(capsys)[0]["request_id"]) == 32


def test_the_handler_takes_event_and_context_as_lambda_calls_it():
    import inspect

    assert list(inspect.signature(echo).parameters) == ["event", "context"]
    assert echo.__name__ == "echo"
