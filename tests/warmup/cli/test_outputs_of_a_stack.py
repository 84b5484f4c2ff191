"""Reading what a stack put out, and what to do where there is nothing to read."""

import json
import os
from pathlib import Path

import pytest

from warmup.cli.stack import read_outputs
from warmup.protocol.errors import WarmupError

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:hf-lambda-dev-warmup"
OUTPUTS = {"warmupArn": ARN, "functions": {"sentiment": ARN.replace("warmup", "sentiment")}}


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A `pulumi` on the PATH that prints `text` and ends with `code`; its arguments go to a file."""

    def install(text: str, code: int = 0, to: str = "stdout") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        asked, said = tmp_path / "asked", tmp_path / "said"
        said.write_text(text)
        stream = " >&2" if to == "stderr" else ""
        (folder / "pulumi").write_text(
            f'#!/bin/sh\necho "$PWD $*" > {asked}\ncat {said}{stream}\nexit {code}\n'
        )
        (folder / "pulumi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return asked

    return install


def test_the_outputs_of_a_stack_come_from_pulumi(tmp_path: Path, pulumi) -> None:
    asked = pulumi(json.dumps({**OUTPUTS, "stagingBucket": "bucket"}))
    outputs = read_outputs(tmp_path, "dev")
    assert asked.read_text().split() == [str(tmp_path), *["stack", "output", "--json", "--stack", "dev"]]
    assert (outputs.stack, outputs.region) == ("dev", "eu-west-1")
    assert outputs.functions == OUTPUTS["functions"]
    assert (outputs.staging_bucket, outputs.endpoint_url) == ("bucket", None)
    assert outputs.deploy_command == "pulumi up --stack dev"


def test_without_pulumi_the_error_says_what_to_install_or_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WarmupError, match=r"pulumi is not on the PATH.*--outputs FILE") as raised:
        read_outputs(tmp_path, "dev")
    assert raised.value.kind == "usage"


def test_what_pulumi_says_is_passed_on_with_the_command_that_deploys(tmp_path: Path, pulumi) -> None:
    pulumi("error: no stack named 'dev' found", code=255, to="stderr")
    with pytest.raises(
        WarmupError, match=r"failed: error: no stack named 'dev' found\. .* pulumi up --stack dev"
    ):
        read_outputs(tmp_path, "dev")


def test_a_stack_that_was_never_deployed_is_told_apart(tmp_path: Path, pulumi) -> None:
    pulumi("{}")
    with pytest.raises(
        WarmupError, match=r"stack dev has no outputs warmupArn and functions\. Run pulumi up"
    ):
        read_outputs(tmp_path, "dev")


def test_the_local_stack_is_the_default_and_has_its_own_file(tmp_path: Path) -> None:
    with pytest.raises(
        WarmupError, match=r"\.local/outputs\.json is not there\. Run make up, or name a stack"
    ):
        read_outputs(tmp_path, None)
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "outputs.json").write_text(json.dumps({**OUTPUTS, "endpointUrl": "http://h:1"}))
    outputs = read_outputs(tmp_path, None)
    assert (outputs.stack, outputs.endpoint_url) == ("local", "http://h:1")
    assert outputs.deploy_command == "make up"


def test_a_file_stands_for_pulumi_and_an_option_for_its_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({**OUTPUTS, "endpointUrl": "http://h:1"}))
    outputs = read_outputs(tmp_path, "dev", file, "http://other:2")
    assert (outputs.stack, outputs.endpoint_url) == ("dev", "http://other:2")


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "holds no object")])
def test_a_file_that_holds_no_outputs_says_how_to_write_it(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(text)
    with pytest.raises(WarmupError, match=f"{said}.*pulumi stack output --json"):
        read_outputs(tmp_path, None, file)
