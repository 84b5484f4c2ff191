"""A deployment starts the warm-up without waiting for it, and only when there is something new to warm."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from discovery import read_scripts
from infra.hooks import queue, warm_events
from infra.settings import Account
from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT, ROOT, Deploy
from warmup.protocol.events import ModelEvent

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:warmup"


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


def test_it_is_off_by_default(dev: Deployed):
    assert not dev.hooks and not [each for each in dev.resources if each.hooks]


def test_the_function_of_the_warm_up_starts_it_when_it_is_new_or_changed(deploy: Deploy):
    deployed = deploy("dev", warmOnDeploy=True)
    hooked = {each.name: each.hooks for each in deployed.resources if each.hooks}
    starts = frozenset({("after_create", "start-warmup"), ("after_update", "start-warmup")})
    assert hooked == {"hf-lambda-dev-warmup": starts}


def test_a_start_that_fails_does_not_fail_the_deployment_and_a_preview_starts_nothing(deploy: Deploy):
    hook = deploy("dev", warmOnDeploy=True).hooks["start-warmup"]
    assert (hook.ignore_errors, hook.on_dry_run) == (True, False)


def test_each_model_has_an_event_as_the_command_would_send_it():
    events = [each.to_json() for each in warm_events(read_scripts(ROOT / "inference"))]
    assert [(each["action"], each["job"]) for each in events] == [("warm", "deploy-1"), ("warm", "deploy-2")]
    assert {entry["model"] for each in events for entry in each["models"]} == {
        *("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "sshleifer/distilbart-cnn-12-6")
    }


def test_it_starts_when_the_warm_up_can_run(dev: Deployed):
    assert dev.before(dev.function("warmup")) >= {
        ("efs/mountTarget", "cache-0"),
        ("efs/mountTarget", "cache-1"),
        ("ec2/route", "network-egress-0"),
        ("ec2/route", "network-egress-1"),
    }


def test_the_hook_queues_every_event_and_does_not_wait(queued: list[tuple[str, str, Any]]):
    events = [ModelEvent(job="a"), ModelEvent(job="b")]
    queue(ARN, events, Account("us-east-1", None))
    path = f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"
    assert queued == [(path, "Event", event.to_json()) for event in events]
