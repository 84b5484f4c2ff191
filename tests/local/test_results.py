"""Asynchronous requests: retried as Lambda does it, and what became of each is read once."""

import json
import threading
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.results import read_results
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.results import ANSWERS, Result, keep
from tests.local.functions_to_run import InMemory, declare
from warmup.cli.access import Access
from warmup.cli.stack import StackClient
from warmup.protocol.errors import WarmupError
from warmup.protocol.outputs import StackOutputs


def failing_first(times=0):
    """Instances that fail what they are asked for the first `times`."""
    left = iter(range(times))

    def answer(function, event):
        if next(left, None) is None:
            return {"got": event}, False
        return {"errorType": "ValueError", "errorMessage": "no"}, True

    return InMemory(answer)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".local").mkdir()
    return tmp_path


def sent(folder, failing, count=1, **changes):
    """What became of `count` requests to a function that fails `failing` times, and their ids."""
    function = declare(version="4", **{"keeps_results": True, **changes})
    kept, all_kept = [], threading.Event()

    def deliver(about, result):
        keep(folder / "results", about, result)
        kept.append(result)
        if len(kept) == count:
            all_kept.set()

    with serve(
        Gateway((function,), failing_first(failing), retry_delays_s=(0.01, 0.01), deliver=deliver)
    ) as url:
        arn = f"{function.arn}:live"
        outputs = {"warmupArn": arn, "functions": {"probe": arn}, "endpointUrl": url}
        outputs["queues"] = {"probe": {"answers": "a", "failures": "f"}}
        (folder / ".local/outputs.json").write_text(json.dumps(outputs))
        client = StackClient(StackOutputs.from_json(outputs), Access("us-east-1"))
        ids = [client.send("probe", json.dumps({"n": n}).encode()) for n in range(count)]
        assert all_kept.wait(20)
    return ids, read(folder)


def read(folder):
    return [*read_results("probe", "local", folder, folder / "results")]


def test_an_answer_comes_with_its_event_and_the_id_that_the_caller_got(folder):
    ids, [record] = sent(folder, failing=1)
    assert record["requestContext"] == {
        "requestId": ids[0],
        "functionArn": f"{declare().arn}:live",
        "condition": "Success",
        "approximateInvokeCount": 2,
    }
    assert record["requestPayload"] == {"n": 0}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "4"}
    assert record["responsePayload"] == {"got": {"n": 0}}
    assert read(folder) == []


@pytest.mark.parametrize(
    ("changes", "condition", "tries"),
    [
        ({}, "RetriesExhausted", 3),
        ({"retries": 0}, "RetriesExhausted", 1),
        ({"max_age_s": 0}, "EventAgeExceeded", 1),
    ],
)
def test_what_fails_to_the_end_is_a_failure_with_its_error(folder, changes, condition, tries):
    _, [record] = sent(folder, failing=9, **changes)
    assert record["requestContext"]["condition"] == condition
    assert record["requestContext"]["approximateInvokeCount"] == tries
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_every_request_has_its_own_result_and_what_was_not_read_stays(folder):
    ids, records = sent(folder, failing=0, count=20)
    assert sorted(record["requestContext"]["requestId"] for record in records) == sorted(ids)
    function = declare()
    for number in range(3):
        keep(folder / "results", function, Result(ANSWERS, {"n": number}))
    taking: Any = read_results("probe", "local", folder, folder / "results")
    next(taking)
    taking.close()  # stopped in the midst: nothing is lost
    assert [record["n"] for record in read(folder)] == [0, 1, 2]


def test_an_endpoint_without_queues_is_told_how_to_have_them(folder):
    sent(folder, failing=0)
    with pytest.raises(WarmupError, match=r"other keeps no results.*endpoints\.other\.async true"):
        [*read_results("other", "local", folder, folder / "results")]


@mock_aws
def test_on_aws_the_queues_are_read_and_what_was_printed_is_deleted(folder, monkeypatch):
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{key}", "x")
    client = boto3.client("sqs", region_name="us-east-1")
    queues = {kind: client.create_queue(QueueName=kind)["QueueUrl"] for kind in ("answers", "failures")}
    for number in range(12):
        client.send_message(QueueUrl=queues["answers"], MessageBody=json.dumps({"n": number}))
    client.send_message(QueueUrl=queues["failures"], MessageBody='{"n": "failed"}')
    arn = "arn:aws:lambda:us-east-1:1:function:one"
    outputs = StackOutputs(arn, {"probe": arn}, "dev", queues={"probe": queues})
    monkeypatch.setattr("local.results.read_outputs", lambda root, stack: outputs)
    monkeypatch.setattr("local.results.access_to", lambda root, outputs: Access("us-east-1"))
    monkeypatch.setattr("local.results.WAIT_S", 0)
    found = [record["n"] for record in read_results("probe", "dev", folder, folder)]
    assert sorted(found[:-1]) == [*range(12)] and found[-1] == "failed"
    for url in queues.values():
        left = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert {left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]} == {"0"}
