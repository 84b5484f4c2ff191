"""The Hub token: read from Secrets Manager by the Lambda alone, and never shown."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local.hub import Hub
from tests.warmup.support import TINY, Warming
from warmup.protocol.errors import WarmupError
from warmup.worker.handler import Environment
from warmup.worker.hub_token import read_token

TOKEN = "hf_verysecret"


@pytest.fixture
def secret_arn(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        yield client.create_secret(Name="hf-token", SecretString=f"{TOKEN}\n")["ARN"]


def test_the_token_comes_from_the_secret_in_the_secrets_own_region(secret_arn: str) -> None:
    assert read_token({"HF_TOKEN_SECRET_ARN": secret_arn}) == TOKEN


def test_without_a_secret_hf_token_counts_and_nothing_else() -> None:
    assert read_token({"HF_TOKEN": "hf_own"}) == "hf_own"
    assert read_token({}) is None


def test_a_secret_that_cannot_be_read_is_named_without_its_content(secret_arn: str) -> None:
    missing = secret_arn.replace("hf-token", "gone")
    with pytest.raises(
        WarmupError, match=r"cannot read the Hub token from arn:.*gone.*Check its role and egress"
    ):
        read_token({"HF_TOKEN_SECRET_ARN": missing})


def test_the_token_opens_a_private_model_and_is_in_no_log_line_and_no_file(
    warming: Warming,
    secret_arn: str,
    models,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from local.hub import serve

    hub = Hub(models, private=["org/tiny"], tokens={TOKEN: ["org/tiny"]})
    with serve(hub) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        assert warming.error()["kind"] == "not found"
        monkeypatch.setenv("HF_TOKEN_SECRET_ARN", secret_arn)
        assert warming.warm(TINY)["state"] == "done"
        hub.fail("/api/models/org/tiny*", "unauthorized", times=2)
        assert warming.error()["kind"] == "token refused"
    captured = capfd.readouterr()
    assert TOKEN not in captured.out + captured.err
    texts = [path.read_bytes() for path in warming.cache.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in text for text in texts)


def test_places_have_the_defaults_of_the_image() -> None:
    environment = Environment.of({"LAMBDA_TASK_ROOT": "/var/task"})
    assert str(environment.cache) == "/mnt/hf_models_cache"
    assert str(environment.scripts) == "/var/task"
