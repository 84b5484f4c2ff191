"""As whom commands ask AWS: as the stack's config says, and what is said where that cannot be."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.credentials
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sts.models import sts_backends

import local.__main__
import warmup.__main__
from local.logs import cloudwatch_logs
from tests.warmup.lambda_api import Api, Refusal, serve_functions
from warmup.cli.access import Access, read_access
from warmup.cli.stack import StackClient, access_to, read_outputs
from warmup.cli.upload import upload_model
from warmup.protocol.answers import CacheStatus
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.events import StatusEvent
from warmup.protocol.models import ModelRequest
from warmup.protocol.outputs import StackOutputs
from warmup.protocol.records import WrongShape

REGION = "us-east-1"
ARN = f"arn:aws:lambda:{REGION}:{DEFAULT_ACCOUNT_ID}:function:warmup"
CONFIG = """
[default]
aws_access_key_id = KEYOFDEFAULT
aws_secret_access_key = x

[profile team]
aws_access_key_id = KEYOFTEAM
aws_secret_access_key = x

[profile browser]
login_session = arn:aws:iam::123456789012:user/me
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a default profile and others, and nothing in its environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def key_of(access: Access) -> str:
    credentials = access.session.get_credentials()
    assert credentials is not None
    return str(credentials.access_key)


def test_without_config_the_environment_says_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_of(Access(REGION)) == "KEYOFDEFAULT"
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert key_of(Access(REGION)) == "KEYOFTEAM"


def test_the_profile_of_the_config_is_taken_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "default")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYOFENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert key_of(Access(REGION, profile="team")) == "KEYOFTEAM"


def test_the_config_is_read_as_the_cli_prints_it() -> None:
    """What was set as text, with --path and as JSON; of other namespaces nothing."""
    roles = [{"roleArn": "arn:a", "externalId": "x", "duration": "1h"}]
    access = read_access(
        {
            "aws:region": {"value": "eu-west-1", "secret": False},
            "aws:profile": {"value": "007", "secret": False},
            "aws:maxRetries": {"value": "7", "secret": False},
            "aws:retryMode": {"value": "adaptive", "secret": False},
            "aws:assumeRoles": {"value": json.dumps(roles), "objectValue": roles, "secret": True},
            "aws:endpoints": {"value": '[{"cloudwatchlogs": "https://logs.example.com"}]', "secret": False},
            "aws:ignoreTags": {"value": '{"keys": ["a"]}', "secret": False},
            "hf-lambda:hfToken": {"secret": True},
        },
        REGION,
    )
    assert (access.region, access.profile, access.max_retries) == (REGION, "007", 7)
    [role] = access.assume_roles
    assert (role.role_arn, role.external_id) == ("arn:a", "x")
    config = (
        Access(REGION, retry_mode="adaptive", max_retries=7, endpoints=access.endpoints).client("logs").meta
    )
    assert config.endpoint_url == "https://logs.example.com"
    assert config.config.retries == {"mode": "adaptive", "total_max_attempts": 7}  # type: ignore[attr-defined]


@pytest.mark.parametrize("entry", [{"value": "many"}, {}, "7", None])
def test_config_that_cannot_be_read_is_named(entry: Any) -> None:
    with pytest.raises(WrongShape, match="aws: keys of the config"):
        read_access({"aws:maxRetries": entry}, REGION)


Pulumi = Callable[..., Path]


@pytest.fixture
def pulumi(home: Path, monkeypatch: pytest.MonkeyPatch) -> Pulumi:
    """A `pulumi` that has the outputs of a stack and this config, of which a key is secret on demand."""

    def install(config: dict[str, Any], *, secret: str = "") -> Path:
        function = ARN.replace("warmup", "sentiment")
        outputs = {"warmupArn": ARN, "functions": {"sentiment": function}}
        shown = {key: {"value": value, "secret": key == secret} for key, value in config.items()}
        hidden = {key: {"secret": True} if key == secret else entry for key, entry in shown.items()}
        for name, content in {"output": outputs, "shown": shown, "hidden": hidden}.items():
            (home / name).write_text(json.dumps(content))
        program = home / "bin" / "pulumi"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {home}/asked\ncase "$*" in "stack output"*) cat {home}/output;; '
            f"*--show-secrets*) cat {home}/shown;; *) cat {home}/hidden;; esac\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return home / "asked"

    return install


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    answers: dict[str, Any] = {"models": [], "unused": [], "jobs": {}}
    with serve_functions(Api({"warmup": lambda event: answers, "sentiment": lambda event: {}})) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


@pytest.mark.parametrize(
    "command",
    [
        [warmup.__main__, "status", "--stack", "dev"],
        [local.__main__, "invoke", "--stack", "dev", "sentiment", "{}"],
        [local.__main__, "logs", "--stack", "dev", "sentiment"],
    ],
    ids=["warmup", "invoke", "logs"],
)
def test_every_command_asks_with_the_stack_s_profile_and_never_with_the_default(
    pulumi: Pulumi, api: Api, command: list[Any]
) -> None:
    pulumi({"aws:profile": "team"})
    main, *arguments = command
    main.main(arguments)
    assert api.signed_by == {"KEYOFTEAM"}


def test_secrets_of_the_config_are_shown_to_us_only_where_they_are_needed(home: Path, pulumi: Pulumi) -> None:
    config = {"aws:assumeRoles": '[{"roleArn": "arn:a", "externalId": "x"}]', "hf-lambda:hfToken": "hf_x"}
    asked = pulumi(config, secret="hf-lambda:hfToken")
    outputs = StackOutputs(ARN, {}, "dev")
    access_to(home, outputs)
    assert "--show-secrets" not in asked.read_text()


def test_a_role_with_a_secret_in_it_is_read(home: Path, pulumi: Pulumi) -> None:
    pulumi({"aws:assumeRoles": '[{"roleArn": "arn:a", "externalId": "x"}]'}, secret="aws:assumeRoles")
    access = access_to(home, read_outputs(home, "dev"))
    assert access.assume_roles[0].external_id == "x"


def test_with_outputs_from_a_file_pulumi_is_not_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    assert access_to(home, StackOutputs(ARN, {}, "dev"), home / "outputs.json") == Access(REGION)


def upload(access: Access) -> None:
    class Never:
        whole_trees = True

        def resolve(self, *_: Any) -> str:
            raise AssertionError("downloaded for nothing")

    model = ModelRequest("org/tiny", None, ())
    upload_model(model, "bucket", Never(), Path(), access, lambda progress: None)  # type: ignore[arg-type]


COMMANDS = {
    "a client of the stack": lambda access: StackClient(StackOutputs(ARN, {}, "dev"), access),
    "logs": lambda access: list(cloudwatch_logs({"warmup": ARN}, None, access)),
    "upload": upload,
}


@pytest.mark.parametrize("make", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("profile", "said"), [("nope", "nope"), ("browser", 'pip install "botocore')])
def test_credentials_that_cannot_be_had_are_named_wherever_a_client_is_made(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Access], Any], profile: str, said: str
) -> None:
    """`aws login` without the extra: LoginProvider.load of botocore raises where a client is made."""
    monkeypatch.setattr(botocore.credentials, "EC", None)
    with pytest.raises(WarmupError, match="no usable AWS credentials") as raised:
        make(Access(REGION, profile=profile))
    assert raised.value.kind is ErrorKind.CREDENTIALS
    assert said in str(raised.value)


def test_what_aws_login_left_can_be_read_with_what_is_installed() -> None:
    """With botocore's extra crt, all that is missing here is the session itself."""
    with pytest.raises(WarmupError, match="Error loading login session token"):
        Access(REGION, profile="browser").client("lambda")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_PROFILE", "team")
    with mock_aws():
        yield


@pytest.mark.parametrize(
    "access",
    [
        Access(REGION, allowed_account_ids=("210987654321",)),
        Access(REGION, forbidden_account_ids=(DEFAULT_ACCOUNT_ID,)),
    ],
    ids=["not allowed", "forbidden"],
)
def test_credentials_of_another_account_are_refused_as_the_provider_does(aws: None, access: Access) -> None:
    with pytest.raises(WarmupError, match=f"your credentials are of account {DEFAULT_ACCOUNT_ID}") as raised:
        access.client("lambda")
    assert raised.value.kind is ErrorKind.CREDENTIALS


def test_credentials_of_an_allowed_account_are_taken(aws: None) -> None:
    access = Access(REGION, allowed_account_ids=(DEFAULT_ACCOUNT_ID,), forbidden_account_ids=("1" * 12,))
    assert access.client("sts").get_caller_identity()["Account"] == DEFAULT_ACCOUNT_ID


def test_a_role_that_expires_is_taken_again(aws: None) -> None:
    """A role is had for an hour; a warm-up of many models takes longer."""
    boto3.client("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument="{}")
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/deployer"
    access = read_access({"aws:assumeRoles": {"value": json.dumps([{"roleArn": role}])}}, REGION)
    client = access.client("sts")
    assert client.get_caller_identity()["Arn"].endswith("assumed-role/deployer/hf-lambda")
    taken = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles
    assert len(taken) == 1
    credentials = access.session.get_credentials()
    assert credentials is not None
    credentials._expiry_time = credentials._time_fetcher()  # type: ignore[attr-defined]
    client.get_caller_identity()
    assert len(taken) == 2


def test_a_role_that_is_refused_is_named(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """By an API that allows the functions alone."""
    monkeypatch.setenv("AWS_PROFILE", "team")
    access = read_access({"aws:assumeRoles": {"value": '[{"roleArn": "arn:aws:iam::1:role/x"}]'}}, REGION)
    said = r"cannot take the role of aws:assumeRoles \(arn:aws:iam::1:role/x\): AccessDenied: not authorized"
    with pytest.raises(WarmupError, match=said):
        StackClient(StackOutputs(ARN, {}, "dev"), access)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (
            "210987654321",
            f"credentials are of account 210987654321, and the stack is in {DEFAULT_ACCOUNT_ID}",
        ),
        (DEFAULT_ACCOUNT_ID, "you may not invoke warmup: lambda:InvokeFunction"),
        (None, "you may not invoke warmup: lambda:InvokeFunction"),
    ],
    ids=["of another account", "of this account", "of nobody knows which"],
)
def test_a_refusal_tells_credentials_of_another_account_from_missing_rights(
    api: Api, account: str | None, said: str
) -> None:
    """The default profile, for instance, where the stack has no aws:profile."""
    api.account = account
    api.functions["warmup"] = lambda event: Refusal(403, "AccessDeniedException", "no")
    with pytest.raises(WarmupError, match=said):
        StackClient(StackOutputs(ARN, {}, "dev"), Access(REGION)).ask_warmup(StatusEvent(), CacheStatus)


def test_one_place_makes_the_clients_of_all_commands() -> None:
    root = Path(warmup.__main__.__file__).parents[1]
    inside = {
        root / "warmup" / "worker" / name for name in ("bucket.py", "client_settings.py", "relay_handler.py")
    }
    # What stands in for S3 is asked with keys of its own.
    own = {root / "warmup" / "cli" / "access.py", root / "local" / "bucket.py"}
    makers = {
        path
        for folder in ("infra", "local", "warmup", "discovery", "hf_lambda")
        for path in (root / folder).rglob("*.py")
        if "import boto3" in path.read_text()
    }
    assert makers == own | inside
