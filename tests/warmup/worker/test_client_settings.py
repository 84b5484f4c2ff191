"""How the Hub's clients are told to behave, by variables that they really read; the token is never shown."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import hf_xet
import huggingface_hub.constants
import pytest
from moto import mock_aws

from local.hub import Hub
from tests.warmup.support import TINY, Warming
from warmup.protocol.errors import WarmupError
from warmup.worker.client_settings import read_token, set_client_defaults
from warmup.worker.handler import Environment, handler

DEFAULTS: dict[str, str] = {}
set_client_defaults(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_installed_client_reads_the_variable(name: str):
    """A name that it does not know changes nothing, and nobody would notice."""
    if name.startswith("HF_XET_"):
        [library] = Path(hf_xet.__file__).parent.glob("hf_xet*.so")
        assert name.encode() in library.read_bytes()
    else:
        assert f'"{name}"' in _source_of_hub()


def test_vectored_writes_are_off_in_the_warm_up(monkeypatch: pytest.MonkeyPatch):
    """On NFS they stall: https://github.com/vllm-project/vllm/pull/49830"""
    for name in DEFAULTS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    handler({"action": "nothing"}, None)
    assert {name: os.environ.get(name) for name in DEFAULTS} == DEFAULTS
    assert DEFAULTS["HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE"] == "0"


def test_the_command_sets_them_before_it_imports_the_client():
    seen = (
        "import sys, warmup.__main__ as command\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "assert command.main(['add', 'no/repository/at/all']) == 2\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_DISABLE_SHARED_BLOBS)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", seen],
        cwd=Path(__file__).parents[3],
        env={name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "True\n", done.stderr


def test_what_is_set_already_stays():
    environ = {"HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE": "1"}
    set_client_defaults(environ)
    assert environ["HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE"] == "1"


def _source_of_hub() -> str:
    folder = Path(huggingface_hub.constants.__file__).parent
    return "".join(path.read_text() for path in (folder / "constants.py", folder / "utils" / "logging.py"))


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
