"""Invoking Lambdas: what each refusal of the API means."""

import pytest

from tests.warmup.lambda_api import Api, Failure, Refusal, serve_functions
from warmup.cli.client import Lambdas
from warmup.cli.outputs import Deployment
from warmup.errors import WarmupError


@pytest.fixture
def api():
    with serve_functions(Api({}, lambda name: f"log of {name}")) as api:
        yield api


@pytest.fixture
def lambdas(api: Api) -> Lambdas:
    return Lambdas(Deployment("dev", api.arn("warmup"), {}, api.url))


def refused(lambdas: Lambdas, api: Api, *refusals: Refusal) -> WarmupError:
    left = list(refusals)
    api.functions["warmup"] = lambda event: left.pop(0) if left else {}
    with pytest.raises(WarmupError) as raised:
        lambdas.ask_warmup({"action": "status"})
    return raised.value


def test_an_answer_comes_with_payload_log_and_seconds(lambdas: Lambdas, api: Api) -> None:
    api.functions["greet"] = lambda event: {"hello": event["name"]}
    answer = lambdas.ask(api.arn("greet"), {"name": "you"})
    assert (answer.payload, answer.function_error) == ({"hello": "you"}, None)
    assert answer.log == "log of greet"
    assert answer.seconds > 0


def test_an_asynchronous_start_does_not_wait(lambdas: Lambdas, api: Api) -> None:
    events: list[object] = []
    api.functions["warmup"] = events.append
    lambdas.start({"action": "warm"})
    api.join()
    assert events == [{"action": "warm"}]


def test_a_function_that_is_not_there_is_named_with_the_deploying_command(lambdas: Lambdas) -> None:
    with pytest.raises(
        WarmupError, match=r"warmup is not there\. Deploy it: pulumi up --stack dev"
    ) as raised:
        lambdas.start({})
    assert raised.value.kind == "not deployed"


def test_missing_rights_are_named_with_action_and_arn(lambdas: Lambdas, api: Api) -> None:
    error = refused(lambdas, api, Refusal(403, "AccessDeniedException", "no"))
    assert str(error) == f"you may not invoke warmup: lambda:InvokeFunction on {api.arn('warmup')} is needed"


def test_expired_credentials_ask_for_a_new_sign_in(lambdas: Lambdas, api: Api) -> None:
    error = refused(lambdas, api, Refusal(403, "ExpiredTokenException", "old"))
    assert "Sign in again" in str(error)


def test_any_other_refusal_is_passed_on(lambdas: Lambdas, api: Api) -> None:
    error = refused(lambdas, api, Refusal(400, "InvalidParameterValueException", "bad layer"))
    assert str(error) == "warmup: InvalidParameterValueException: bad layer"


def test_a_file_system_that_is_not_mounted_yet_is_waited_for(
    lambdas: Lambdas, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.client.SETTLE_PAUSE_SECONDS", 0.01)
    left = [
        Refusal(400, "EFSMountTimeoutException"),
        Refusal(409, "ResourceConflictException"),
        {"state": "ok"},
    ]
    api.functions["warmup"] = lambda event: left.pop(0)
    assert lambdas.ask_warmup({"action": "status"}) == {"state": "ok"}


def test_a_mount_that_never_comes_is_named_after_a_while(
    lambdas: Lambdas, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.client.SETTLE_SECONDS", 0.0)
    error = refused(lambdas, api, Refusal(400, "EFSMountTimeoutException", "timed out"))
    assert str(error) == "warmup: EFSMountTimeoutException: timed out"


def test_a_warm_up_that_crashes_is_named_with_its_own_words(lambdas: Lambdas, api: Api) -> None:
    api.functions["warmup"] = lambda event: Failure("Runtime.ImportModuleError", "No module named 'warmup'")
    with pytest.raises(WarmupError, match=r"Runtime\.ImportModuleError: No module named 'warmup'"):
        lambdas.ask_warmup({"action": "status"})


def test_a_failure_shows_what_the_function_logged_last(lambdas: Lambdas, api: Api) -> None:
    own = [f"line {number}" for number in range(1, 11)]
    lambda_s = ["[WARNING] 1 LAMBDA_WARNING: Unhandled exception.", "END RequestId: 1", "REPORT RequestId: 1"]
    api.log = lambda name: "\n".join(["START RequestId: 1", *own, *lambda_s, ""])
    api.functions["warmup"] = lambda event: Failure("Runtime.ExitError", "signal: killed")
    with pytest.raises(WarmupError) as raised:
        lambdas.ask_warmup({"action": "status"})
    said = str(raised.value).splitlines()
    assert said[0] == "the warm-up function failed: Runtime.ExitError: signal: killed"
    assert said[1:] == [f"    log: line {number}" for number in range(3, 11)]


def test_an_error_that_the_warm_up_answers_is_raised_with_its_kind(lambdas: Lambdas, api: Api) -> None:
    api.functions["warmup"] = lambda event: {"state": "failed", "error": {"kind": "usage", "message": "no"}}
    with pytest.raises(WarmupError, match="no") as raised:
        lambdas.ask_warmup({"action": "x"})
    assert raised.value.kind == "usage"


def test_without_credentials_the_error_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:warmup"
    with pytest.raises(WarmupError, match=r"no AWS credentials\. Set AWS_PROFILE") as raised:
        Lambdas(Deployment("dev", arn)).start({})
    assert raised.value.kind == "credentials"
