"""Asking endpoints: what the answers and the logs say."""

import json
from pathlib import Path
from typing import Any

import pytest

from discovery import read_scripts
from tests.warmup.lambda_api import Api, Failure, serve_functions
from warmup.cli.access import Access
from warmup.cli.ask import ask_endpoints
from warmup.cli.stack import StackClient
from warmup.protocol.outputs import StackOutputs
from warmup.protocol.reports import EndpointAnswer, EndpointFailure, EndpointReport


@pytest.fixture
def ask(tmp_path: Path):
    """Asks the plain script `one`, whose function and log the test gives."""
    (tmp_path / "one.py").write_text(
        'from transformers import pipeline\np = pipeline("fill-mask", model="org/m", revision="v1")\n'
        "EXAMPLE = {'text': 'Hi'}\ndef handler(event, context): return p(event['text'])\n"
    )

    def run(function: Any, log: str = "") -> EndpointReport:
        with serve_functions(Api({"one": function}, lambda name: log)) as api:
            outputs = StackOutputs(api.arn("warmup"), {"one": api.arn("one")}, "dev", api.url)
            commits = {("org/m", "v1"): "c" * 40}
            [entry] = ask_endpoints(
                StackClient(outputs, Access("us-east-1")),
                read_scripts(tmp_path),
                lambda model, revision: commits.get((model, revision or "main")),
                parallel=2,
            )
        return entry

    return run


def test_a_plain_script_is_asked_with_its_example_and_its_answer_is_shown_as_it_is(ask) -> None:
    asked: list[Any] = []

    def one(event: Any) -> list[Any]:
        asked.append(event)
        return ["Hi", len(asked)]

    entry = ask(one)
    assert asked == [{"text": "Hi"}] * 2
    assert isinstance(entry, EndpointAnswer)
    assert entry.response == ["Hi", 2]
    assert (entry.name, entry.task, entry.repo_id, entry.commit) == ("one", "fill-mask", "org/m", "c" * 40)
    assert entry.engine is None and entry.cold_ms > 0 and entry.warm_ms > 0


def test_the_engine_is_read_from_the_last_request_line_of_the_log(ask) -> None:
    lines = [
        "START RequestId: 1",
        "2026-11-01T00:00:00 INFO "
        + json.dumps({"event": "request", "engine": "onnx-int8", "cold": True, "load_ms": 9}),
        "{broken",
        json.dumps({"event": "other", "engine": "no"}),
        "[1]",
        "REPORT RequestId: 1 Duration: 9 ms",
    ]
    entry = ask(lambda event: {"statusCode": 200, "body": {"label": "x"}}, "\n".join(lines))
    assert isinstance(entry, EndpointAnswer)
    assert (entry.engine, entry.cold, entry.phases) == ("onnx-int8", True, {"load_ms": 9})
    assert entry.response == {"label": "x"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Failure("ColdCache", "warm it"), "ColdCache: warm it"),
        ({"statusCode": 422, "body": {"error": "long"}}, 'answers 422: {"error": "long"}'),
    ],
)
def test_an_endpoint_that_fails_has_its_error_in_place_of_an_answer(ask, answer: Any, said: str) -> None:
    entry = ask(lambda event: answer)
    assert isinstance(entry, EndpointFailure)
    assert entry.error == said
    assert entry.request == {"text": "Hi"}


def test_a_failure_of_the_endpoint_says_what_its_log_says_of_it(ask) -> None:
    error = {"type": "OSError", "message": "no file model.bin", "frames": ["a.py:1 f", "b.py:2 g"]}
    log = json.dumps({"event": "fault", "id": "x", "error": error})
    entry = ask(lambda event: {"statusCode": 500, "body": {"id": "x"}}, log)
    assert isinstance(entry, EndpointFailure)
    assert entry.error == 'answers 500: {"id": "x"}; OSError: no file model.bin (b.py:2 g)'


def test_a_script_that_says_nothing_of_its_event_is_told_how_to(ask, tmp_path: Path) -> None:
    text = (tmp_path / "one.py").read_text().replace("EXAMPLE = {'text': 'Hi'}", "").replace("['text']", "")
    (tmp_path / "one.py").write_text(text)
    entry = ask(lambda event: {"statusCode": 400, "body": "no text"})
    assert isinstance(entry, EndpointFailure)
    assert entry.error.startswith('answers 400: "no text"; it was asked with {}')
    assert entry.error.endswith("write EXAMPLE = {...} in one.py")
