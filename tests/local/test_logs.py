"""`make logs`: what functions wrote, here and on AWS."""

import time

import boto3
import pytest
from moto import mock_aws

from local.logs import LINES, cloudwatch_logs, local_logs
from warmup.cli.access import Access
from warmup.protocol.errors import WarmupError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.log").write_text("".join(f"a {number}\n" for number in range(LINES + 1)))
    (tmp_path / "b.log").write_text("b\n")
    return tmp_path


def test_a_function_s_log_is_shown_whole(folder):
    assert list(local_logs(folder, "a")) == [f"a {number}" for number in range(LINES + 1)]


def test_without_a_function_the_last_lines_of_each_are_shown_under_its_name(folder):
    lines = list(local_logs(folder, None))
    assert lines == [*(f"a | a {number}" for number in range(1, LINES + 1)), "b | b"]


def test_a_function_that_wrote_nothing_is_named_with_those_that_did(folder, tmp_path):
    with pytest.raises(WarmupError, match="nothing was logged by 'nope'; there are: a, b"):
        list(local_logs(folder, "nope"))
    with pytest.raises(WarmupError, match="there are: none"):
        list(local_logs(tmp_path / "nowhere", "nope"))


@pytest.fixture
def access():
    found = Access("us-east-1")
    found.session.events.register("after-call.lambda.GetFunctionConfiguration", _add_logging_config)
    return found


@pytest.fixture
def functions(monkeypatch):
    """Two functions on an emulated AWS; the group is named after neither, as the function says."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        role = boto3.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        logs, lambdas = boto3.client("logs"), boto3.client("lambda")
        arns = {}
        for name in ("a", "b"):
            made = lambdas.create_function(
                FunctionName=name,
                Role=role,
                PackageType="Image",
                Code={"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x@sha256:" + "0" * 64},
            )
            arns[name] = made["FunctionArn"]
            logs.create_log_group(logGroupName=f"group-{name}")
            logs.create_log_stream(logGroupName=f"group-{name}", logStreamName="s")
            now_ms = int(time.time() * 1000)
            events = [
                {"timestamp": now_ms - age_s * 1000, "message": f"{name} {age_s}\n"}
                for age_s in (7200, 60, 1)
            ]
            logs.put_log_events(logGroupName=f"group-{name}", logStreamName="s", logEvents=events)
        yield arns


def _add_logging_config(parsed, **_):
    """Moto leaves it out; AWS does not."""
    parsed["LoggingConfig"] = {"LogGroup": f"group-{parsed['FunctionName']}"}


def test_on_aws_the_last_hour_is_shown(functions, access):
    assert list(cloudwatch_logs(functions, "a", access)) == ["a 60", "a 1"]
    assert list(cloudwatch_logs(functions, None, access)) == ["a | a 60", "a | a 1", "b | b 60", "b | b 1"]


def test_what_aws_refuses_is_named(functions, access):
    boto3.client("logs").delete_log_group(logGroupName="group-a")
    with pytest.raises(WarmupError, match=r"cannot read the log of a: .*ResourceNotFoundException"):
        list(cloudwatch_logs(functions, "a", access))
    with pytest.raises(WarmupError, match="there is no function 'nope'; there are: a, b"):
        list(cloudwatch_logs(functions, "nope", access))
