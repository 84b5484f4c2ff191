"""Invoking Lambdas: what each refusal of the API means."""

import pytest

from tests.warmup.lambda_api import Api, Failure, Refusal, serve_functions
from warmup.cli.access import Access
from warmup.cli.stack import StackClient
from warmup.protocol.answers import CacheStatus
from warmup.protocol.errors import WarmupError
from warmup.protocol.events import ModelEvent, StatusEvent
from warmup.protocol.outputs import StackOutputs

BUSY = Refusal(
    429, "TooManyRequestsException", "Rate Exceeded.", "ReservedFunctionConcurrentInvocationLimitExceeded"
)
EMPTY: dict[str, object] = {"models": [], "unused": [], "free_bytes": None}


@pytest.fixture
def api():
    with serve_functions(Api({}, lambda name: f"log of {name}")) as api:
        yield api


@pytest.fixture
def client(api: Api) -> StackClient:
    functions = {"greet": api.arn("greet")}
    return StackClient(StackOutputs(api.arn("warmup"), functions, "dev", api.url), Access("us-east-1"))


def refused(client: StackClient, api: Api, *refusals: Refusal) -> WarmupError:
    left = list(refusals)
    api.functions["warmup"] = lambda event: left.pop(0) if left else {}
    with pytest.raises(WarmupError) as raised:
        client.ask_warmup(StatusEvent(), CacheStatus)
    return raised.value


def test_an_answer_comes_with_payload_log_and_seconds(client: StackClient, api: Api) -> None:
    api.functions["greet"] = lambda event: {"hello": event["name"]}
    answer = client.ask("greet", b'{"name": "you"}')
    assert (answer.payload, answer.function_error) == ({"hello": "you"}, None)
    assert answer.log == "log of greet"
    assert answer.seconds > 0


def test_an_asynchronous_start_does_not_wait(client: StackClient, api: Api) -> None:
    events: list[object] = []
    api.functions["warmup"] = events.append
    client.start(ModelEvent())
    api.join()
    assert events == [{"action": "warm", "models": []}]


def test_a_function_that_is_not_there_is_named_with_the_deploying_command(client: StackClient) -> None:
    with pytest.raises(
        WarmupError, match=r"warmup is not there\. Deploy it: pulumi up --stack dev"
    ) as raised:
        client.start(ModelEvent())
    assert raised.value.kind == "not deployed"


def test_missing_rights_are_named_with_action_and_arn(client: StackClient, api: Api) -> None:
    error = refused(client, api, Refusal(403, "AccessDeniedException", "no"))
    assert str(error) == f"you may not invoke warmup: lambda:InvokeFunction on {api.arn('warmup')} is needed"


def test_expired_credentials_ask_for_a_new_sign_in(client: StackClient, api: Api) -> None:
    error = refused(client, api, Refusal(403, "ExpiredTokenException", "old"))
    assert "Sign in again" in str(error)


def test_any_other_refusal_is_passed_on(client: StackClient, api: Api) -> None:
    error = refused(client, api, Refusal(400, "InvalidParameterValueException", "bad layer"))
    assert str(error) == "warmup: InvalidParameterValueException: bad layer"


def test_a_file_system_that_is_not_mounted_yet_is_waited_for(
    client: StackClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.stack.SETTLE_PAUSE_SECONDS", 0.01)
    left = [
        Refusal(400, "EFSMountTimeoutException"),
        Refusal(409, "ResourceConflictException"),
        EMPTY,
    ]
    api.functions["warmup"] = lambda event: left.pop(0)
    assert client.ask_warmup(StatusEvent(), CacheStatus) == CacheStatus((), ())


def test_an_endpoint_that_is_switched_off_is_told_at_once(client: StackClient, api: Api) -> None:
    """Its API answers as that of a function whose reserved instances are all busy, which is waited for.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html: 0 stops every event;
    TooManyRequestsException and its Reason: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    """
    api.reserved["greet"] = 0
    api.functions["greet"] = lambda event: BUSY
    with pytest.raises(
        WarmupError, match=r"greet is switched off: .* reservedConcurrency 0 .* pulumi up --stack dev"
    ) as raised:
        client.ask("greet", b"{}")
    assert raised.value.kind == "switched off"


@pytest.mark.parametrize("reserved", [2, None], ids=["some are reserved", "we may not ask"])
def test_an_endpoint_whose_instances_are_busy_is_waited_for(
    client: StackClient, api: Api, monkeypatch: pytest.MonkeyPatch, reserved: int | None
) -> None:
    monkeypatch.setattr("warmup.cli.stack.SETTLE_PAUSE_SECONDS", 0.01)
    api.reserved["greet"] = reserved
    left = [BUSY, BUSY, "hello"]
    api.functions["greet"] = lambda event: left.pop(0)
    assert client.ask("greet", b"{}").payload == "hello"


def test_a_mount_that_never_comes_is_named_after_a_while(
    client: StackClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.stack.SETTLE_SECONDS", 0.0)
    error = refused(client, api, Refusal(400, "EFSMountTimeoutException", "timed out"))
    assert str(error) == "warmup: EFSMountTimeoutException: timed out"


def test_a_warm_up_that_crashes_is_named_with_its_own_words(client: StackClient, api: Api) -> None:
    api.functions["warmup"] = lambda event: Failure("Runtime.ImportModuleError", "No module named 'warmup'")
    with pytest.raises(WarmupError, match=r"Runtime\.ImportModuleError: No module named 'warmup'"):
        client.ask_warmup(StatusEvent(), CacheStatus)


def test_a_failure_shows_what_the_function_logged_last(client: StackClient, api: Api) -> None:
    own = [f"line {number}" for number in range(1, 11)]
    lambda_s = ["[WARNING] 1 LAMBDA_WARNING: Unhandled exception.", "END RequestId: 1", "REPORT RequestId: 1"]
    api.log = lambda name: "\n".join(["START RequestId: 1", *own, *lambda_s, ""])
    api.functions["warmup"] = lambda event: Failure("Runtime.ExitError", "signal: killed")
    with pytest.raises(WarmupError) as raised:
        client.ask_warmup(StatusEvent(), CacheStatus)
    said = str(raised.value).splitlines()
    assert said[0] == "the warm-up function failed: Runtime.ExitError: signal: killed"
    assert said[1:] == [f"    log: line {number}" for number in range(3, 11)]


def test_an_error_that_the_warm_up_answers_is_raised_with_its_kind(client: StackClient, api: Api) -> None:
    api.functions["warmup"] = lambda event: {"state": "failed", "error": {"kind": "usage", "message": "no"}}
    with pytest.raises(WarmupError, match="no") as raised:
        client.ask_warmup(StatusEvent(), CacheStatus)
    assert raised.value.kind == "usage"


def test_without_credentials_the_error_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:warmup"
    with pytest.raises(WarmupError, match=r"no usable AWS credentials: .*\. Set AWS_PROFILE") as raised:
        StackClient(StackOutputs(arn, {}, "dev"), Access("eu-west-1")).start(ModelEvent())
    assert raised.value.kind == "credentials"


def test_a_script_that_is_not_deployed_is_named_with_the_deploying_command(client: StackClient) -> None:
    with pytest.raises(WarmupError, match=r"new\.py is not deployed\. Run pulumi up --stack dev"):
        client.ask("new", b"{}")


def test_an_answer_that_is_no_json_is_its_text(client: StackClient, api: Api) -> None:
    api.functions["greet"] = lambda event: "hello"
    assert client.ask("greet", b"{}").payload == "hello"


@pytest.mark.parametrize("answer", [{}, {"jobs": 3}, [], "text", None, {"models": [], "unused": [{}]}])
def test_an_answer_of_another_version_says_to_deploy_again(
    client: StackClient, api: Api, answer: object
) -> None:
    api.functions["warmup"] = lambda event: answer
    with pytest.raises(
        WarmupError, match=r"deployed by another version of this project \(.*\)\. Run pulumi up --stack dev"
    ) as raised:
        client.ask_warmup(StatusEvent(), CacheStatus)
    assert raised.value.kind == "another version"


def test_an_error_of_a_kind_that_this_version_does_not_know_is_told_as_it_is(
    client: StackClient, api: Api
) -> None:
    api.functions["warmup"] = lambda event: {"state": "failed", "error": {"kind": "new", "message": "x"}}
    with pytest.raises(WarmupError, match=r"another version of this project .*kind: expected one of"):
        client.ask_warmup(StatusEvent(), CacheStatus)
