"""The report of `make up` and its table."""

from typing import Any

from local.report import complete, table

WARMUP: dict[str, Any] = {
    "stack": "local",
    "warmup": [
        {"model": "org/name", "commit": "c" * 40, "files": 5, "bytes": 10, "seconds": 1.5, "prepared": []}
    ],
    "endpoints": [
        {
            "name": "sentiment",
            "task": "text-classification",
            "model": "org/name",
            "commit": "c" * 40,
            "engine": "onnx-int8",
            "cold_ms": 212.4,
            "warm_ms": 3.21,
            "request": {"text": "I love this"},
            "response": {"statusCode": 200, "body": {"label": "POSITIVE", "score": 0.99}},
        },
        {"name": "other", "task": "summarization", "model": "org/other", "engine": None, "response": None},
    ],
}


def test_the_report_adds_what_each_endpoint_asked_of_the_hub():
    report = complete(WARMUP, "http://127.0.0.1:1", {"warmup": 12, "other": 2})
    assert [endpoint["hub_requests"] for endpoint in report["endpoints"]] == [0, 2]
    assert (report["stack"], report["hub"]) == ("local", "http://127.0.0.1:1")
    assert report["warmup"] == WARMUP["warmup"]


def test_a_warm_up_that_left_no_report_gives_an_empty_one():
    assert complete({}, "hub", {})["endpoints"] == []


def test_the_table_shows_engine_times_requests_and_answer():
    header, first, second = table(complete(WARMUP, "hub", {"other": 2}))
    assert header.split()[0] == "endpoint" and header.endswith("answer")
    assert first.split()[:6] == ["sentiment", "text-classification", "org/name", "onnx-int8", "212", "3.2"]
    assert first.endswith('0  {"label": "POSITIVE", "score": 0.99}')
    assert second.split() == ["other", "summarization", "org/other", "-", "-", "-", "2", "-"]


def test_a_long_answer_is_cut():
    endpoint = {**WARMUP["endpoints"][0], "response": {"statusCode": 200, "body": "word " * 100}}
    line = table(complete({"endpoints": [endpoint]}, "hub", {}))[1]
    assert line.endswith("...")
    assert len(line) < 200
