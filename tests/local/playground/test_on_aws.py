"""The same page for a stack that is asked through boto3; the local gateway stands for Lambda."""

import base64
import json

import pytest

from local.playground import __main__ as command
from local.playground.backend import BackendError
from local.playground.on_aws import AwsBackend
from local.playground.records import Ended
from tests.local.functions_to_run import declare
from warmup.cli.access import Access
from warmup.cli.stack import StackClient
from warmup.protocol.answers import CacheStatus
from warmup.protocol.outputs import StackOutputs

LOG = (
    '{"event": "request", "cold": true, "engine": "onnx-int8", "import_ms": 200.0, "load_ms": 30.0, '
    '"infer_ms": 5.0, "total_ms": 40.0, "status": 200}\n'
    "REPORT RequestId: 1\tDuration: 41.5 ms\tBilled Duration: 642 ms\tMemory Size: 1024 MB\t"
    "Max Memory Used: 99 MB\tInit Duration: 600.10 ms\n"
)


@pytest.fixture(scope="module")
def backend(playground):
    functions = {name: declare(name).arn for name in ("labels", "words")}
    warmup = "arn:aws:lambda:us-east-1:123456789012:function:warmup-1a2b3c4"
    outputs = StackOutputs(
        warmup, functions, "dev", playground.gateway_url, memory_mb={"labels": 1024, "words": 512}
    )
    client = StackClient(outputs, Access("us-east-1"))
    return AwsBackend(client, playground.folder.root)


def test_endpoints_that_are_deployed_are_shown_though_the_warm_up_cannot_be_asked(backend):
    stack = backend.stack()
    assert [(each.name, each.memory_mb) for each in stack.endpoints] == [("labels", 1024), ("words", 512)]
    assert stack.endpoints[0].models[0].reason is None
    assert stack.keeps_instances
    with pytest.raises(BackendError, match=r"warmup-1a2b3c4 is not there\. Deploy it: pulumi up --stack dev"):
        backend.cache()


def test_models_in_images_are_not_said_to_be_missing_from_a_cache(playground):
    functions = {name: declare(name).arn for name in ("labels", "words")}
    outputs = StackOutputs(None, functions, "dev", playground.gateway_url, in_image=("labels", "words"))
    backend = AwsBackend(StackClient(outputs, Access("us-east-1")), playground.folder.root)
    assert backend.cache() == CacheStatus((), ())
    assert [model.reason for each in backend.stack().endpoints for model in each.models] == [None]


def test_an_answer_has_its_status_and_its_cost(backend):
    answer = backend.invoke("labels", b'{"text": "Hi", "top_k": 1}')
    assert (answer.status, answer.body) == (200, [{"label": "German, plain: Hi", "score": 0.75}])
    assert answer.cost.memory_mb == 1024
    assert answer.cost.phases
    assert backend.invoke("labels", b'{"texts": 1}').status == 400


def test_nobody_retires_an_instance_of_lambda(backend):
    with pytest.raises(BackendError, match="Lambda ends instances by itself"):
        backend.retire("labels")


@pytest.mark.parametrize("what", ["logs", "invoke", "stream"])
def test_an_endpoint_that_is_not_deployed_is_named(backend, what):
    with pytest.raises(BackendError, match="nope"):
        {
            "logs": lambda: backend.logs("nope"),
            "invoke": lambda: backend.invoke("nope", b"{}"),
            "stream": lambda: backend.stream("nope", b"{}").__enter__(),
        }[what]()


class Events:
    """What boto3 hands out of a streamed answer."""

    def __init__(self, *events):
        self._events, self.closed = events, False

    def __iter__(self):
        return iter(self._events)

    def close(self):
        self.closed = True


class Lambda:
    """InvokeWithResponseStream, which neither the gateway nor an emulated AWS has."""

    def __init__(self, events):
        self.events, self.asked = events, []

    def invoke_with_response_stream(self, **asked):
        self.asked.append(asked)
        return {"EventStream": self.events}

    def get_function_configuration(self, FunctionName):  # noqa: N803 - as boto3 has it
        return {"Architectures": ["arm64"]}


def streaming(backend, *events):
    found = AwsBackend(backend._client, backend._root)
    found.__dict__["_streaming"] = Lambda(Events(*events))
    return found, found.__dict__["_streaming"]


def test_a_streamed_answer_ends_with_what_lambda_logged_of_it(backend):
    done = {"InvokeComplete": {"LogResult": base64.b64encode(LOG.encode()).decode()}}
    backend, client = streaming(
        backend, *({"PayloadChunk": {"Payload": each}} for each in (b"a", b"b")), done
    )
    with backend.stream("words", json.dumps({"prompt": "x"}).encode()) as parts:
        *pieces, ended = parts
    assert pieces == [b"a", b"b"]
    assert isinstance(ended, Ended)
    assert (ended.error, ended.cost.engine, ended.cost.billed_ms) == (None, "onnx-int8", 642)
    # A million of 642 ms with half a GB on arm64, at $0.0000133334 a GB-second, and $0.20 for the requests.
    assert ended.cost.million_usd == pytest.approx(0.642 * 0.5 * 13.3334 + 0.2)
    assert client.events.closed
    assert client.asked[0]["FunctionName"].endswith("function:words-1a2b3c4")


def test_what_broke_a_streamed_answer_off_is_said(backend):
    failed = {"InvokeComplete": {"ErrorCode": "Sandbox.Timedout", "ErrorDetails": "after 30 s"}}
    backend, _ = streaming(backend, {"PayloadChunk": {"Payload": b"a"}}, failed)
    with backend.stream("words", b"{}") as parts:
        assert list(parts)[-1].error == "Sandbox.Timedout: after 30 s"


def test_a_stopped_answer_is_closed(backend):
    backend, client = streaming(backend, {"PayloadChunk": {"Payload": b"a"}})
    with backend.stream("words", b"{}") as parts:
        assert next(parts) == b"a"
    assert client.events.closed


def test_the_command_is_for_stacks_in_aws_and_says_what_keeps_it_from_one(capsys, tmp_path):
    assert command.main(["--stack", "local"]) == 2
    assert "`make up`" in capsys.readouterr().err
    assert command.main(["--stack", "dev", "--outputs", str(tmp_path / "nope.json")]) == 1
    assert "nope.json is not there" in capsys.readouterr().err
