"""A stack that was deployed before dynamic providers went: it is updated without loss, and destroyed.

states/before-redesign.json is what `pulumi stack export --show-secrets` said of it (without times and
positions), before-redesign.cloud.json what there was: warmOnDeploy, a token, alarms, both kinds of Function
URL, provisioned concurrency. Its dynamic resources name classes of ours by module and name.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.stack import Stack, new_stack

pytestmark = pytest.mark.slow

STATES = Path(__file__).with_name("states")
CONFIG: dict[str, Any] = {
    "warmOnDeploy": True,
    "alarmEmail": "ops@example.org",
    "monthlyBudgetUsd": 50,
    "endpoints": {
        "sentiment": {"functionUrl": "iam", "provisionedConcurrency": 1},
        "summarization": {"functionUrl": "public"},
    },
}
BY_THE_HOUR = ("aws:ec2/natGateway", "aws:ec2/eip", "aws:ec2/internetGateway")
HOLDS_STATE = (
    "efs/fileSystem ",
    "efs/accessPoint ",
    "ecr/repository ",
    "lambda/function ",
    "iam/role ",
    "secretsmanager/secret ",
    "ec2/vpc ",
    "ec2/subnet ",
)
"""What must not be replaced: what it holds, or what others call it by, would be gone."""


@pytest.fixture
def old(tmp_path: Path, pulumi: str, aws: str) -> Stack:
    stack = new_stack(tmp_path / "stack", pulumi, aws)
    shutil.copy(STATES / "before-redesign.cloud.json", stack.cloud_file)
    stack.run("config", "set", "--secret", "hfToken", "hf_a_token_of_the_tests")
    stack.configure(egress="nat", **CONFIG)
    stack.run("stack", "import", "--file", str(STATES / "before-redesign.json"))
    return stack


def test_the_state_holds_a_dynamic_resource_of_each_class():
    resources = json.loads((STATES / "before-redesign.json").read_text())["deployment"]["resources"]
    dynamic = {each["type"] for each in resources if each["type"].startswith("pulumi-python:dynamic:")}
    assert dynamic == {"pulumi-python:dynamic:CheckedImage", "pulumi-python:dynamic:Warming"}


def test_an_up_replaces_nothing_that_holds_state(old: Stack):
    changes = old.up()
    gone = changes.replaces | changes.deletes
    assert not [each for each in sorted(gone) if each.startswith(HOLDS_STATE)]
    # The one exception: an address becomes the alias's, once, and is the alias's ever after.
    assert [each for each in sorted(gone) if each.startswith("lambda/functionUrl ")] == [
        "lambda/functionUrl summarization"
    ]
    assert old.up() == old.preview()  # nothing, both


def test_without_egress_in_its_config_it_moves_to_the_relay_and_is_told_how_to_stay(old: Stack):
    old.configure(egress=None)
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        assert "To keep it: pulumi config set egress nat" in old.run(*command)
    assert not [key for key in old.cloud().resources if key.startswith(BY_THE_HOUR)]
    assert "egress is relay now" not in old.run("up", "--yes", "--skip-preview")


def test_the_updated_stack_is_destroyed(old: Stack):
    old.up()
    old.destroy("--skip-preview")
    assert not old.cloud().resources


def test_the_old_stack_is_destroyed_as_it_is(old: Stack):
    old.destroy("--skip-preview")
    assert not old.cloud().resources
