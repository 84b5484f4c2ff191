"""Functions that stream: the real runtime client behind our Runtime API, over HTTP and through Invoke."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
from urllib.parse import urlsplit

import pytest

from hf_lambda.streaming import STREAMS
from local.program.functions import FunctionUrl
from local.service.emulator import StreamingEmulator
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.streaming import RuntimeApi
from tests.local.functions_to_run import declare, wait_for
from warmup.cli.access import gateway_client

SCRIPT = '''"""Yields what the event says."""

import os
import time
from pathlib import Path

from hf_lambda import endpoint


CACHE = Path(os.environ["MODEL_CACHE"])


def waiting(folder, number):
    while not (CACHE / folder / f"go-{number}").exists():
        time.sleep(0.005)


@endpoint
def handler(count: int = 3, folder: str | None = None, breaks: int | None = None, exits: int | None = None):
    try:
        for number in range(count):
            if folder:
                waiting(folder, number)
            if number == breaks:
                raise RuntimeError("broke")
            if number == exits:
                os._exit(3)
            yield {"number": number, "pid": os.getpid()}
    finally:
        if folder and (CACHE / folder).exists():
            (CACHE / folder / "ended").touch()
'''


@pytest.fixture
def signals(root):
    """Files that the function waits for; it sees the folder as `signals` in its cache."""
    folder = root / "efs" / "signals"
    folder.mkdir()
    return folder


@pytest.fixture
def served(emulators, root):
    (root / "inference/probe.py").write_text(SCRIPT)
    made = {}
    with contextlib.ExitStack() as stack:

        def begin(**changes):
            environment = {**declare().environment, STREAMS: "1"}
            made["gateway"] = Gateway(
                (declare(environment=environment, **{"writes": True, **changes}),), emulators
            )
            return stack.enter_context(serve(made["gateway"]))

        yield begin


@pytest.fixture
def post():
    """One request; everything is closed at the end."""
    with contextlib.ExitStack() as stack:

        def send(url, path="/urls/probe/", **fields):
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
            stack.callback(connection.close)
            connection.request("POST", path, json.dumps(fields), {"content-type": "application/json"})
            answer = stack.enter_context(connection.getresponse())
            return connection, answer

        yield send


def _client(url):
    return gateway_client(url, "us-east-1", retries={"total_max_attempts": 1})


def test_pieces_arrive_before_the_next_one_is_made(served, signals, post):
    url = served()
    (signals / "go-0").touch()  # the status comes with the first piece
    _, answer = post(url, count=3, folder="signals", stream=True)
    assert answer.getheader("content-type") == "application/x-ndjson"
    for number in range(3):
        assert json.loads(answer.readline())["number"] == number
        if number < 2:
            assert not (signals / "ended").exists()
            (signals / f"go-{number + 1}").touch()
    assert answer.read() == b""


def test_an_answer_to_head_has_no_content_and_the_connection_serves_on(served, post):
    connection, first = post(served(), count=1)
    first.read()
    connection.request("HEAD", "/urls/probe/?stream=true")
    assert connection.getresponse().read() == b""
    connection.request("POST", "/urls/probe/", json.dumps({"count": 2}))
    assert len(json.loads(connection.getresponse().read())) == 2


def test_without_stream_the_answer_comes_whole(served, post):
    _, answer = post(served(), count=2)
    assert answer.status == 200
    assert [each["number"] for each in json.loads(answer.read())] == [0, 1]


def test_an_error_before_the_first_piece_has_its_status(served, post):
    url = served()
    assert post(url, count="x", stream=True)[1].status == 400
    _, answer = post(url, breaks=0, stream=True)
    assert answer.status == 500


def test_an_error_on_the_way_is_the_last_line(served, post):
    _, answer = post(served(), breaks=2, stream=True)
    lines = [json.loads(line) for line in answer.read().splitlines()]
    assert [line.get("number") for line in lines] == [0, 1, None]
    assert lines[2]["error"]["type"] == "InternalError"


def test_a_runtime_that_ends_on_the_way_breaks_the_answer_off_and_is_replaced(served, signals, post):
    url = served()
    (signals / "go-0").touch()
    _, answer = post(url, exits=1, folder="signals", stream=True)
    assert json.loads(answer.readline())["number"] == 0
    # Not before the first piece is here: a process that ends at once may take what it has sent with it.
    (signals / "go-1").touch()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    assert post(url, exits=0)[1].status == 502
    _, answer = post(url, count=1)
    assert answer.status == 200


def test_a_client_that_goes_away_ends_the_generator_and_the_instance_serves_on(served, signals, post):
    url = served(max_instances=1)
    (signals / "go-0").touch()
    connection, answer = post(url, count=1_000_000, folder="signals", stream=True)
    first = json.loads(answer.readline())
    answer.close()
    connection.close()
    for number in range(1, 200):
        (signals / f"go-{number}").touch()
    wait_for(signals / "ended")
    # It is given back right after the generator has ended.
    answers = (post(url, count=1)[1] for _ in range(200))
    answer = next(answer for answer in answers if answer.status == 200)
    assert json.loads(answer.read())[0]["pid"] == first["pid"]


def test_an_instance_is_busy_until_its_answer_is_sent(served, signals, post):
    url = served(max_instances=1)
    (signals / "go-0").touch()
    _, answer = post(url, count=2, folder="signals", stream=True)
    answer.readline()
    assert post(url, count=1)[1].status == 429
    (signals / "go-1").touch()
    answer.read()
    # It is given back right after the last byte.
    assert any(post(url, count=1)[1].status == 200 for _ in range(200))


def test_invoke_gets_the_lines_or_the_answer_whole_and_the_log(served):
    client = _client(served())
    answer = client.invoke(
        FunctionName="probe-1a2b3c4", Payload=json.dumps({"count": 2, "stream": True}), LogType="Tail"
    )
    lines = answer["Payload"].read().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]
    answer = client.invoke(FunctionName="probe-1a2b3c4", Payload=json.dumps({"count": 2}))
    assert len(json.loads(answer["Payload"].read())["body"]) == 2
    client.close()


def test_a_signature_is_asked_for_where_the_url_is_iam(served, post):
    url = served(url=FunctionUrl(needs_signature=True))
    assert post(url, stream=True)[1].status == 403


@pytest.fixture
def start(emulators, root):
    (root / "inference/probe.py").write_text(SCRIPT)
    started = []

    def begin(**changes):
        environment = {**declare().environment, STREAMS: "1"}
        started.append(emulators.start(declare(environment=environment, **changes)))
        return started[-1]

    yield begin
    for instance in started:
        instance.stop()


def test_a_function_that_takes_too_long_is_cut_and_its_instance_ends(start):
    instance = start(timeout_s=1)
    assert isinstance(instance, StreamingEmulator)
    result = instance.invoke(json.dumps({"folder": "nothing comes", "stream": True}).encode())
    assert result.error
    assert json.loads(result.payload)["errorType"] == "Sandbox.Timedout"
    assert not instance.usable


def test_a_script_that_cannot_be_loaded_says_why(start, root):
    (root / "inference/probe.py").write_text("raise ValueError('no model')\n")
    result = start().invoke(b"{}")
    assert result.error
    assert "no model" in json.loads(result.payload)["errorMessage"]


def test_a_killed_runtime_is_an_error_not_a_wait(start):
    instance = start()
    instance.invoke(b'{"count": 1}')
    os.kill(instance.pid, signal.SIGKILL)
    result = instance.invoke(b'{"count": 1}')
    assert (result.error, instance.usable) == (True, False)


def test_the_log_of_a_request_holds_its_lines(start):
    instance = start()
    result = instance.invoke(b'{"count": 1, "stream": true}')
    assert result.log.startswith(f"START RequestId: {result.request_id}")
    assert '"event": "request"' in result.log


def test_every_invocation_of_a_runtime_that_could_not_load_gets_why():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = RuntimeApi(port, "arn:aws:lambda:us-east-1:000000000000:function:broken")
    why = b'{"errorMessage": "No module named \'nope\'"}'
    with contextlib.closing(api):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as runtime:
            runtime.request("POST", "/2018-06-01/runtime/init/error", why)
            assert runtime.getresponse().status == 202
        api.runtime_ended("Runtime exited without an answer")
        for request_id in ("first", "second"):
            answer = api.invoke(request_id, b"{}", None, 10)
            assert answer.is_error and b"".join(answer.pieces) == why
