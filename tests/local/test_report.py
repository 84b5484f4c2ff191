"""The report of `make up` and its table."""

from dataclasses import replace

import pytest

from hf_lambda.manifest import NotPreparedEntry, PreparedEntry
from local.report import complete, notes, table
from warmup.protocol.answers import WarmedModel
from warmup.protocol.reports import EndpointAnswer, EndpointFailure, WarmReport

ANSWERED = EndpointAnswer(
    name="sentiment",
    task="text-classification",
    repo_id="org/name",
    commit="c" * 40,
    request={"text": "I love this"},
    engine="onnx-int8",
    cold=True,
    cold_ms=212.4,
    warm_ms=3.21,
    phases={},
    response={"statusCode": 200, "body": {"label": "POSITIVE", "score": 0.99}},
)
FAILED = EndpointFailure("other", "summarization", "org/other", None, {"text": "x"}, "answers 500")
WARMED = WarmReport("local", endpoints=(ANSWERED, FAILED))


def test_the_report_adds_what_each_endpoint_asked_of_the_hub():
    report = complete(WARMED, "http://127.0.0.1:1", {"warmup": 12, "other": 2})
    assert [endpoint.hub_requests for endpoint in report.endpoints] == [0, 2]
    assert (report.stack, report.hub) == ("local", "http://127.0.0.1:1")
    assert WarmReport.from_json(report.to_json()) == report


def test_the_table_shows_engine_times_requests_and_answer():
    header, first, second = table(complete(WARMED, "hub", {"other": 2}))
    assert header.split()[0] == "endpoint" and header.endswith("answer")
    assert first.split()[:6] == ["sentiment", "text-classification", "org/name", "onnx-int8", "212", "3.2"]
    assert first.endswith('0  {"label": "POSITIVE", "score": 0.99}')
    assert second.split() == [*["other", "summarization", "org/other", "-", "-", "-", "2", "answers", "500"]]


def test_what_stays_on_torch_or_in_fp32_is_named_with_its_reason():
    refused = NotPreparedEntry("text-classification", "auto", "no such family", "text-classification")
    made = PreparedEntry("m", "auto", "fp32", "p", "x86_64", "1", reason="labels differ")
    model = WarmedModel("org/name", "main", "c" * 40, 1, (made,), (refused,), 1)
    assert notes(WarmReport("local", warmup=(model,))) == [
        "org/name stays on torch for text-classification: no such family",
        "org/name is served in fp32 for m: labels differ",
    ]
    assert notes(WARMED) == []


@pytest.mark.parametrize("response", ["word " * 100, {"statusCode": 200, "body": "word " * 100}])
def test_a_long_answer_is_cut(response):
    warmed = WarmReport("local", endpoints=(replace(ANSWERED, response=response),))
    line = table(complete(warmed, "hub", {}))[1]
    assert line.endswith("...")
    assert len(line) < 200
