"""A deployment starts the warm-up without waiting for it, and only when there is something new to warm."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from infra.warming import Starter
from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT, URIS, Deploy

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:warmup"
PROPS = {"function": ARN, "image": "r@1", "events": ['{"job": "a"}', '{"job": "b"}'], "region": "us-east-1"}


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, Any]]]:
    """(path, invocation type, event) of every invocation of an AWS that answers at once."""
    found: list[tuple[str, str, Any]] = []

    class Lambda(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.append((self.path, self.headers["X-Amz-Invocation-Type"], event))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Lambda)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{key}", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.server_port}")
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def started(deployed: Deployed) -> list[Any]:
    return [each for each in deployed.resources if each.type == "pulumi-python:dynamic:Warming"]


def test_it_is_off_by_default(dev: Deployed):
    assert not started(dev)


def test_each_model_has_an_event_as_the_command_would_send_it(deploy: Deploy):
    deployed = deploy("dev", warmOnDeploy=True)
    (warming,) = started(deployed)
    events = [json.loads(each) for each in warming.inputs["events"]]
    assert [(each["action"], each["job"]) for each in events] == [("warm", "deploy-1"), ("warm", "deploy-2")]
    assert {entry["model"] for each in events for entry in each["models"]} == {
        *("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "sshleifer/distilbart-cnn-12-6")
    }
    assert warming.inputs["image"] == URIS["full"]
    assert warming.inputs["function"] == deployed.outputs["warmupArn"]


def test_it_starts_when_the_warm_up_can_run(deploy: Deploy):
    deployed = deploy("dev", warmOnDeploy=True)
    (warming,) = started(deployed)
    assert deployed.before(warming) >= {
        ("lambda/function", "hf-lambda-dev-warmup"),
        ("lambda/functionEventInvokeConfig", "warmup"),
        ("efs/mountTarget", "cache-0"),
        ("efs/mountTarget", "cache-1"),
        ("ec2/route", "network-egress-0"),
        ("ec2/route", "network-egress-1"),
    }


def test_creating_it_queues_every_event_and_does_not_wait(queued: list[tuple[str, str, Any]]):
    Starter().create({**PROPS, "profile": None})
    path = f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"
    assert queued == [(path, "Event", {"job": "a"}), (path, "Event", {"job": "b"})]


def test_updating_it_queues_them_again(queued: list[tuple[str, str, Any]]):
    outs = Starter().update("id", PROPS, {**PROPS, "image": "r@2", "profile": None}).outs or {}
    assert outs["image"] == "r@2"
    assert [event for _, _, event in queued] == [{"job": "a"}, {"job": "b"}]


def test_it_starts_again_for_other_models_another_image_or_another_function_alone():
    assert Starter().diff("id", PROPS, dict(PROPS)).changes is False
    for key in ("events", "image", "function"):
        assert Starter().diff("id", PROPS, {**PROPS, key: "other"}).changes is True
