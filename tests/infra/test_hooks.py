"""What a deployment does around its changes: it starts the warm-up and deletes versions that nobody calls."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pulumi
import pytest
from moto import mock_aws

from discovery import read_scripts
from infra.account import Account
from infra.hooks import (
    delete_versions,
    explain_taken_name,
    queue,
    refuse_left_subnets,
    refuse_shared_subnets,
    start_release,
    warm_events,
)
from tests.families import others_slow
from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT, ROOT, Deploy
from warmup.protocol.events import ModelEvent, ReleaseEvent

HERE = Account(region="us-east-1")
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:warmup"


@pytest.fixture
def answers() -> list[tuple[int, bytes]]:
    """Status and body of the first answers to what is asked with an answer."""
    return []


@pytest.fixture
def queued(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, bytes]]
) -> Iterator[list[tuple[str, str, Any]]]:
    """(path, invocation type, event) of every invocation of an AWS that answers at once."""
    found: list[tuple[str, str, Any]] = []

    class Lambda(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
            found.append((self.path, kind, event))
            status, body = (202, b"") if kind == "Event" else answers.pop(0) if answers else (200, b"{}")
            self.send_response(status)
            if status == 400:
                self.send_header("x-amzn-ErrorType", "EFSMountConnectivityException")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
    assert "start-warmup" not in dev.hooks
    assert {name for _, name in dev.function("warmup").hooks if "explain" not in name} == {"announce-relay"}
    assert not dev.function("relay").hooks


def test_the_function_of_the_warm_up_starts_it_when_it_is_new_or_changed(deploy: Deploy):
    deployed = deploy("dev", egress="nat", warmOnDeploy=True)
    starts = {("after_create", "start-warmup"), ("after_update", "start-warmup")}
    assert deployed.function("warmup").hooks >= starts
    assert not [each for each in deployed.resources if each.hooks & starts and "warmup" not in each.name]


def test_a_relay_is_started_in_its_place_and_starts_it(deploy: Deploy):
    deployed = deploy("dev", warmOnDeploy=True)
    starts = {("after_create", "start-warmup"), ("after_update", "start-warmup")}
    assert deployed.function("relay").hooks == starts
    assert not [each for each in deployed.resources if each.hooks & starts and "relay" not in each.name]
    # The warm-up that it starts is the new one.
    assert ("lambda/function", "hf-lambda-dev-warmup") in deployed.before(deployed.function("relay"))


def test_a_start_that_fails_does_not_fail_the_deployment_and_a_preview_starts_nothing(deploy: Deploy):
    hook = deploy("dev", warmOnDeploy=True).hooks["start-warmup"]
    assert (hook.ignore_errors, hook.on_dry_run) == (True, False)


def test_each_model_has_an_event_as_the_command_would_send_it():
    memory_mb = {"sentiment": 512, "summarization": 2048}
    events = [each.to_json() for each in warm_events(read_scripts(ROOT / "inference"), memory_mb)]
    assert {entry["memory_mb"] for each in events for entry in each["models"]} == {512, 2048}
    assert [(each["action"], each["job"]) for each in events] == [("warm", "deploy-1"), ("warm", "deploy-2")]
    assert {entry["model"] for each in events for entry in each["models"]} == {
        *("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "sshleifer/distilbart-cnn-12-6")
    }


def test_it_starts_when_the_warm_up_can_run(nat: Deployed):
    assert nat.before(nat.function("warmup")) >= {
        ("efs/mountTarget", "cache-0"),
        ("efs/mountTarget", "cache-1"),
        ("ec2/route", "network-egress-0"),
        ("ec2/route", "network-egress-1"),
    }


def test_the_hook_queues_every_event_and_does_not_wait_for_it(queued: list[tuple[str, str, Any]]):
    events = [ModelEvent(job="a"), ModelEvent(job="b")]
    queue(ARN, events, HERE)
    path = f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"
    assert queued[1:] == [(path, "Event", event.to_json()) for event in events]


def test_a_release_starts_with_one_event(queued: list[tuple[str, str, Any]]):
    start_release(ARN, HERE)
    [(path, kind, event)] = queued
    assert path == f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"
    assert (kind, ReleaseEvent.from_json(event)) == ("Event", ReleaseEvent())


def test_the_hook_asks_first_until_the_file_system_is_there(
    queued: list[tuple[str, str, Any]], answers: list[tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
):
    """EFSMountConnectivityException: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    monkeypatch.setattr("warmup.cli.stack.SETTLE_PAUSE_SECONDS", 0.01)
    answers += [(400, b"{}"), (400, b"{}"), (200, b'{"jobs": {}}')]
    queue(ARN, [ModelEvent(job="a")], HERE)
    assert [kind for _, kind, _ in queued] == [*["RequestResponse"] * 3, "Event"]
    assert queued[0][2]["action"] == "status"


def test_versions_are_deleted_when_the_alias_has_moved(dev: Deployed):
    for alias in dev.all("lambda/alias").values():
        moved = {("after_create", "delete-old-versions"), ("after_update", "delete-old-versions")}
        assert alias.hooks == moved
    assert dev.hooks["delete-old-versions"].ignore_errors is True


def test_a_function_asks_before_it_leaves_a_subnet_also_at_a_preview(dev: Deployed):
    for name in ("sentiment", "summarization"):
        assert ("before_update", "keep-subnets") in dev.function(name).hooks
    hook = dev.hooks["keep-subnets"]
    assert (hook.on_dry_run, hook.ignore_errors) == (True, False)


class Versions:
    """A function of the emulated Lambda in subnets, with published versions."""

    def __init__(self) -> None:
        ec2, iam = (boto3.client(service, region_name="us-east-1") for service in ("ec2", "iam"))
        self.client = boto3.client("lambda", region_name="us-east-1")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        blocks = ("10.0.0.0/24", "10.0.1.0/24")
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in blocks
        ]
        self.group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.client.create_function(
            FunctionName="f",
            Role=role,
            Runtime="python3.12",
            Handler="a.b",
            Code={"ZipFile": _archive()},
            VpcConfig=self.in_subnets(2),
        )

    def in_subnets(self, count: int) -> Any:
        return {"SubnetIds": self.subnets[:count], "SecurityGroupIds": [self.group]}

    def publish(self, subnets: int = 2) -> str:
        self.client.update_function_configuration(
            FunctionName="f", VpcConfig=self.in_subnets(subnets), Description=str(len(self.published()))
        )
        return str(self.client.publish_version(FunctionName="f")["Version"])

    def published(self) -> list[str]:
        versions = self.client.list_versions_by_function(FunctionName="f")["Versions"]
        return [each["Version"] for each in versions if each["Version"] != "$LATEST"]

    def serve(self, version: str, also: str | None = None, note: str = "") -> None:
        weights = {also: 0.5} if also else {}
        self.client.create_alias(
            FunctionName="f",
            Name="live",
            FunctionVersion=version,
            Description=note,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{key}", "x")
    with mock_aws():
        yield Versions()


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.py", "")
    return content.getvalue()


@pytest.mark.parametrize(
    ("keep", "left"), others_slow([(0, "5"), (1, "45"), (3, "2345"), (9, "12345")], (3, "2345"))
)
def test_the_newest_versions_stay_beside_the_one_that_is_served(versions: Versions, keep: int, left: str):
    for _ in range(5):
        served = versions.publish()
    versions.serve(served)
    delete_versions("f", keep, HERE)
    assert sorted(versions.published()) == list(left)


def test_no_version_is_deleted_that_an_alias_weighs(versions: Versions):
    for _ in range(4):
        served = versions.publish()
    versions.serve(served, also="1")
    delete_versions("f", 0, HERE)
    assert sorted(versions.published()) == ["1", "4"]


def test_neither_the_version_that_waits_goes_nor_the_one_that_a_rollback_leads_to(versions: Versions):
    for _ in range(5):
        versions.publish()
    versions.serve("4", note="before: version 1")
    delete_versions("f", 0, HERE)
    assert sorted(versions.published()) == ["1", "4", "5"]


def test_gated_no_function_leaves_a_subnet_that_its_alias_stays_in():
    with pytest.raises(pulumi.RunError, match=r"f is to leave subnet-b.*config set release direct"):
        refuse_left_subnets("f", inputs("subnet-a", "subnet-b"), inputs("subnet-a"))
    refuse_left_subnets("f", inputs("subnet-a"), inputs("subnet-a", "subnet-b"))


def test_versions_in_a_subnet_that_the_function_has_left_go_however_many_are_kept(versions: Versions):
    versions.publish(subnets=2)
    versions.publish(subnets=1)
    versions.serve(versions.publish(subnets=1))
    delete_versions("f", 9, HERE)
    assert sorted(versions.published()) == ["2", "3"]


def inputs(*subnets: Any) -> dict[str, Any]:
    return {"vpcConfig": {"subnetIds": [*subnets]}}


def test_a_function_whose_alias_serves_two_versions_leaves_no_subnet(versions: Versions):
    versions.publish()
    versions.serve(versions.publish(), also="1")
    with pytest.raises(pulumi.RunError) as caught:
        refuse_shared_subnets("f", inputs("subnet-a", "subnet-b"), inputs("subnet-a"), HERE)
    assert str(caught.value) == (
        "f is to leave subnet-b while `live` serves versions 1, 2, which stay there. "
        "Let it serve one version, then run `pulumi up` again."
    )


def test_a_function_whose_alias_serves_one_version_may_leave_a_subnet(versions: Versions):
    versions.serve(versions.publish())
    refuse_shared_subnets("f", inputs("subnet-a", "subnet-b"), inputs("subnet-a"), HERE)


def test_a_function_without_an_alias_may_leave_a_subnet(versions: Versions):
    refuse_shared_subnets("f", inputs("subnet-a", "subnet-b"), inputs("subnet-a"), HERE)


def test_who_leaves_no_subnet_is_not_asked_for():
    """Nothing answers here: a question would be an error."""
    refuse_shared_subnets("f", inputs("subnet-a"), inputs("subnet-a", object()), HERE)


def errors_of(deployed: Deployed, kind: str) -> dict[str, set[str]]:
    return {
        name: {hook for when, hook in each.hooks if when == "on_error"}
        for name, each in deployed.all(kind).items()
    }


def test_errors_of_aws_that_config_mends_are_explained(dev: Deployed):
    assert errors_of(dev, "ecr/repository") == {"image": {"explain-taken-hf-lambda-dev"}}
    assert errors_of(dev, "cloudwatch/logGroup") == {
        name: {f"explain-taken-/aws/lambda/hf-lambda-dev-{name}", f"explain-refused-key-{name}"}
        for name in ("sentiment", "summarization", "warmup", "relay")
    }
    assert set(errors_of(dev, "efs/mountTarget")["cache-0"]) == {"explain-taken-zone"}
    explained = errors_of(dev, "lambda/function")
    assert not explained.pop("hf-lambda-dev-relay")
    assert all(explained.values())


@pytest.mark.parametrize(
    ("error", "explained"),
    [
        ("RepositoryAlreadyExistsException: The repository with name 'x' already exists", True),
        ("ResourceAlreadyExistsException: The specified log group already exists", True),
        ("AccessDeniedException: not authorized to perform ecr:CreateRepository", False),
    ],
)
def test_a_name_that_another_stack_has_is_explained_and_nothing_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: str, explained: bool
):
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", said.append)
    made: list[Any] = []
    monkeypatch.setattr(pulumi, "ErrorHook", lambda name, explain: made.append(explain))
    explain_taken_name("hf-lambda-dev")
    args = pulumi.ErrorHookArgs("urn", "id", "image", "type", failed_operation="create", errors=[error])
    assert made[0](args) is False
    assert bool(said) is explained
    assert all(each.startswith("hf-lambda-dev is in this account and region already") for each in said)
