"""A batch of S3: the state machine in moto's interpreter, its Lambda calls answered by the local gateway.

moto knows no ItemBatcher, no JSON lines, no WriterConfig and no Express children, so the file holds what the
batcher would make of the lines. What a child does, and the command around it, is as it is deployed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.client import BaseClient
from cfnlint.jsonschema import StandardValidator

from infra.batch import definition
from local.program.functions import Function
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import InMemory, declare
from tests.warmup.s3 import serve_s3
from warmup.batch import __main__ as command
from warmup.batch import states
from warmup.batch.states import MachineRun, Place
from warmup.cli.access import Access
from warmup.protocol.outputs import BatchMachines

ALIAS = f"{declare().arn}:live"
OF_THE_HOP = ("transfer-encoding", "content-length", "connection", "date", "server")
ROLE = "arn:aws:iam::123456789012:role/batch"


@dataclass
class Cloud:
    url: str
    asked: list[Any] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name="us-east-1", endpoint_url=self.url)  # type: ignore[call-overload]

    def machine(self, name: str, change: Callable[[dict[str, Any]], object] = lambda lines: None) -> str:
        """As deployed, but for what moto does not know; its ARN."""
        made: dict[str, Any] = json.loads(json.dumps(definition(ALIAS, express=False)))
        lines = made["States"]["Lines"]
        del lines["ItemSelector"], lines["ItemBatcher"], lines["ResultWriter"]["WriterConfig"]
        lines["ItemReader"]["ReaderConfig"]["InputType"] = "JSON"
        change(lines)
        client, text = self.client("stepfunctions"), json.dumps(made)
        return str(client.create_state_machine(name=name, definition=text, roleArn=ROLE)["stateMachineArn"])

    def put(self, key: str, *answers: Any) -> None:
        """A file of two batches of lines, each with an event that says what is answered to it."""
        lines = [{"line": number, "event": {"answers": each}} for number, each in enumerate(answers, start=1)]
        batches = [{"Items": lines[:2]}, {"Items": lines[2:]}]
        self.client("s3").put_object(Bucket="events", Key=key, Body=json.dumps(batches).encode())


@pytest.fixture(scope="module")
def served() -> Iterator[Cloud]:
    """moto, but for Lambda, which is the local gateway: moto's interpreter calls both at one port."""
    asked: list[Any] = []

    def answer(function: Function, event: Any) -> tuple[Any, bool]:
        """What the event says."""
        asked.append(event)
        said = event["answers"]
        return said, isinstance(said, dict) and "errorType" in said

    with (
        serve_s3() as moto,
        serve(Gateway([declare()], InMemory(answer))) as gateway,
        pytest.MonkeyPatch.context() as patch,
    ):

        class Front(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                to = urlsplit(gateway if self.path.startswith("/2015-03-31/") else moto)
                connection = HTTPConnection(str(to.hostname), int(to.port or 80), timeout=30)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in OF_THE_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
                connection.close()

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.forward
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                pass

        front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{front.server_port}"
        patch.setenv("MOTO_PORT", str(front.server_port))
        connection = HTTPConnection("127.0.0.1", front.server_port, timeout=10)
        config = {"stepfunctions": {"execute_state_machine": True}}
        connection.request("POST", "/moto-api/config", json.dumps(config))
        assert connection.getresponse().status == 201
        connection.close()
        yield Cloud(url, asked)
        front.shutdown()
        thread.join()
        front.server_close()


@pytest.fixture
def cloud(served: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.url)
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{key}", "x")
    served.client("s3").create_bucket(Bucket="events")
    return served


def outputs_of(cloud: Cloud, key: str, name: str) -> Any:
    """What the children answered, where nobody writes it into a bucket."""
    machine = cloud.machine(name, lambda lines: lines.pop("ResultWriter"))
    run = MachineRun(Access("us-east-1"), machine, Place("events", key), Place("events", "out/"))
    assert run.start(parallel=20, tolerated_percent=5) == "started"
    client, pause = cloud.client("stepfunctions"), threading.Event()
    for _ in range(600):
        said = client.describe_execution(executionArn=run.arn)
        if said["status"] != "RUNNING":
            break
        pause.wait(0.02)
    assert said["status"] == "SUCCEEDED", said
    return json.loads(said["output"])


@pytest.mark.slow
def test_each_line_has_its_answer_or_its_error(cloud: Cloud):
    good, refused = {"statusCode": 200, "body": {"label": "A"}}, {"statusCode": 400, "body": {"error": "x"}}
    broken = {"errorType": "ValueError", "errorMessage": "no"}
    cloud.put("mixed.json", good, refused, broken, "plain text", {"a": 1})
    first, second = outputs_of(cloud, "mixed.json", "mixed")
    assert first == [
        {"line": 1, "answer": {"label": "A"}},
        {"line": 2, "error": {"status": 400, "body": {"error": "x"}}},
    ]
    [failed, plain, other] = second
    assert (failed["line"], failed["error"]["Error"]) == (3, "ValueError")
    assert json.loads(failed["error"]["Cause"])["errorMessage"] == "no"
    assert [plain, other] == [{"line": 4, "answer": "plain text"}, {"line": 5, "answer": {"a": 1}}]


def run_command(cloud: Cloud, folder: Path, machine: str, *arguments: str) -> int:
    outputs = {
        "stack": "dev",
        "warmupArn": declare("warmup").arn,
        "functions": {"probe": ALIAS},
        "batch": BatchMachines("events/", {"probe": machine}).to_json(),
    }
    (folder / "outputs.json").write_text(json.dumps(outputs))
    return command.main(["probe", *arguments, "--outputs", str(folder / "outputs.json")])


@pytest.mark.slow
def test_the_command_starts_a_batch_and_joins_it_and_says_where_the_results_are(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(states, "POLL_SECONDS", 0.02)
    cloud.put("good.json", *[{"statusCode": 200, "body": number} for number in range(4)])
    machine = cloud.machine("good")
    given = ("s3://events/good.json", "-o", "s3://events/results/", "--json")
    assert run_command(cloud, tmp_path, machine, *given) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["stack"], report["endpoint"], report["failed"]) == ("dev", "probe", 0)
    asked = len(cloud.asked)
    # Once it is done the same command does nothing but say so.
    assert run_command(cloud, tmp_path, machine, *given) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("done already: ") and len(cloud.asked) == asked
    # Another file of that name is another batch.
    cloud.put("good.json", {"statusCode": 200, "body": "new"})
    assert run_command(cloud, tmp_path, machine, *given) == 0
    assert capsys.readouterr().err.startswith("started: ")


@pytest.mark.slow
def test_an_endpoint_that_cannot_serve_fails_its_children_instead_of_every_line(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """moto ends well whatever failed; AWS fails the execution beyond the tolerated percentage."""
    monkeypatch.setattr(states, "POLL_SECONDS", 0.02)
    cold = {"statusCode": 503, "body": {"error": {"message": "run python -m warmup"}}}
    cloud.put("cold.json", cold, cold, cold)
    given = ("s3://events/cold.json", "-o", "s3://events/cold/")
    assert run_command(cloud, tmp_path, cloud.machine("cold"), *given) == 1
    assert "2 lines have no output" in capsys.readouterr().err  # moto counts batches


@pytest.mark.slow
def test_an_execution_that_failed_is_told_with_its_reason_and_taken_up_by_the_same_command(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(states, "POLL_SECONDS", 0.02)
    cloud.put("lost.json", {"statusCode": 200, "body": 1})
    machine = cloud.machine("lost", lambda lines: lines["ItemReader"]["Parameters"].update(Bucket="gone"))
    given = ("s3://events/lost.json", "-o", "s3://events/lost/")
    assert run_command(cloud, tmp_path, machine, *given) == 1
    said = capsys.readouterr().err
    assert "the execution ended as FAILED, with 0 of 0 lines: " in said
    assert "s3://events/lost/; the same command takes it up again" in said
    taken_up: list[str] = []
    clients: Any = BaseClient
    call = clients._make_api_call

    def redrive(client: Any, operation: str, given: dict[str, Any]) -> Any:
        """Which moto lacks."""
        if operation != "RedriveExecution":
            return call(client, operation, given)
        taken_up.append(given["executionArn"])
        return {}

    monkeypatch.setattr(clients, "_make_api_call", redrive)
    run_command(cloud, tmp_path, machine, *given)
    assert capsys.readouterr().out.startswith(f"taken up where it failed: {taken_up[0]}")


def test_results_are_counted_with_their_errors(cloud: Cloud):
    """Files as AWS writes them with FLATTEN and JSONL; moto's manifest names none."""
    s3 = cloud.client("s3")
    lines = [{"line": 1, "answer": 1}, {"line": 2, "error": {"status": 400, "body": {}}}]
    s3.put_object(Bucket="events", Key="r/SUCCEEDED_0.jsonl", Body="\n".join(map(json.dumps, lines)).encode())
    files = {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": "r/SUCCEEDED_0.jsonl", "Size": 9}]}
    manifest = {"DestinationBucket": "events", "MapRunArn": "arn", "ResultFiles": files}
    s3.put_object(Bucket="events", Key="r/manifest.json", Body=json.dumps(manifest).encode())
    run = MachineRun(Access("us-east-1"), "arn", Place("events", "in"), Place("events", "r/"))
    [place] = run.results(Place("events", "r/manifest.json"))
    assert str(place) == "s3://events/r/SUCCEEDED_0.jsonl"
    assert [*run.lines(place)] == lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("s3://other/in.jsonl", "-o", "s3://events/out/"), "s3://other/in.jsonl is not in s3://events/"),
        (("s3://events/in.jsonl", "-o", "out.jsonl"), "'out.jsonl' is no object of S3; write for instance"),
        (("s3://events/in.jsonl", "-o", "s3://events"), "'s3://events' is no object of S3"),
    ],
)
def test_a_place_that_the_machine_may_not_use_is_refused(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
):
    assert run_command(cloud, tmp_path, "arn", *arguments) == 2
    assert said in capsys.readouterr().err


def test_what_lambda_refuses_is_sent_again_and_then_fails_the_child():
    """Not run here: moto waits as long as AWS does."""
    lines = definition(ALIAS, express=False)["States"]["Lines"]
    ask = lines["ItemProcessor"]["States"]["Batch"]["ItemProcessor"]["States"]["Ask"]
    assert "Lambda.TooManyRequestsException" in ask["Retry"][0]["ErrorEquals"]
    assert [each["Next"] for each in ask["Catch"]] == ["Busy", "Failed"]
    assert ask["Catch"][0]["ErrorEquals"] == ask["Retry"][0]["ErrorEquals"]
    assert lines["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_a_batch_of_the_local_stack_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    outputs = {"warmupArn": declare("warmup").arn, "functions": {"probe": ALIAS}}
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    given = ["probe", "s3://a/b", "-o", "s3://a/c/", "--outputs", str(tmp_path / "outputs.json")]
    assert command.main(given) == 2
    assert "a batch of S3 runs in AWS" in capsys.readouterr().err


def test_the_whole_definition_is_one_of_the_language():
    """With what moto does not know, by the schema of cfn-lint."""
    folder = resources.files("cfnlint.data.schemas.other.step_functions")
    validator = StandardValidator(json.loads((folder / "statemachine.json").read_text()))
    made: dict[str, Any] = json.loads(json.dumps(definition(ALIAS, express=True)))
    assert [error.message for error in validator.iter_errors(made)] == []
    del made["States"]["Lines"]["ItemProcessor"]["States"]["Batch"]["ItemProcessor"]["StartAt"]
    assert [*validator.iter_errors(made)]
