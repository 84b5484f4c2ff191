"""The life of a stack under the real Pulumi engine: preview, up, up again, refresh, destroy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.stack import Changes, PulumiError, Stack

pytestmark = pytest.mark.slow

TOKEN = "hf_a_token_that_must_not_be_seen"
NOTHING = Changes()


def test_a_preview_says_what_up_does_and_does_nothing(new: Stack, deployed: Stack):
    previewed = new.preview()
    assert not new.cloud().resources
    made = {entry for entry in deployed.cloud().log if not entry.startswith("update")}
    assert len(made) == len(previewed.creates)
    assert previewed == Changes.of(creates=previewed.creates)


def test_the_stand_ins_of_these_tests_are_what_the_engine_started(deployed: Stack):
    """Another provider, one beside the CLI for instance, would leave nothing in this stack's cloud."""
    assert {"aws", "docker"} == {key.partition(":")[0] for key in deployed.cloud().resources}
    assert [call["target"].rpartition(".")[2] for call in deployed.calls()].count("BatchGetImage") >= 2


def test_nothing_of_a_default_stack_bills_by_the_hour_and_its_network_leads_to_s3_and_the_cache(
    deployed: Stack,
):
    made = deployed.cloud().resources

    def every(kind: str) -> list[Mapping[str, Any]]:
        return [each.inputs for key, each in made.items() if key.startswith(f"aws:{kind}:")]

    by_the_hour = ("ec2/natGateway", "ec2/eip", "lambda/provisionedConcurrencyConfig")
    ways_out = ("ec2/internetGateway", "ec2/egressOnlyInternetGateway", "ec2/route")
    assert not [each for kind in (*by_the_hour, *ways_out) for each in every(kind)]
    (endpoint,) = every("ec2/vpcEndpoint")
    assert endpoint["vpcEndpointType"] == "Gateway"
    assert endpoint["serviceName"] == "com.amazonaws.us-east-1.s3"
    # Routes and rules written into a table or a group itself would be others.
    assert not [each for each in every("ec2/routeTable") if each.get("routes")]
    assert not [each for each in every("ec2/securityGroup") if each.get("egress")]
    rules = every("vpc/securityGroupEgressRule")
    assert len(rules) == 3
    for rule in rules:
        assert not rule.keys() & {"cidrIpv4", "cidrIpv6"}
        of_cache, of_s3 = rule.get("referencedSecurityGroupId"), rule.get("prefixListId")
        assert (rule["toPort"], bool(of_cache), bool(of_s3)) in {(2049, True, False), (443, False, True)}


def test_a_second_up_changes_nothing(dev: Stack):
    assert dev.up() == NOTHING


def test_without_a_docker_engine_the_program_says_so(dev: Stack):
    """What the real provider says of it is "bad provider state", behind everything else."""
    assert "no Docker engine answers at unix:///nowhere" in replace(dev, docker="unix:///nowhere").run(
        "preview"
    )
    assert "Docker engine" not in dev.run("preview")


def test_a_refresh_finds_what_is_there(dev: Stack):
    assert dev.refresh() == NOTHING


def test_a_destroy_leaves_nothing(dev: Stack):
    dev.destroy("--skip-preview")
    assert not dev.cloud().resources
    left = json.loads(dev.export())["deployment"].get("resources", [])
    assert [each["type"] for each in left] in ([], ["pulumi:pulumi:Stack"])


def test_a_secret_is_never_in_clear_in_state_files_or_output(new: Stack):
    new.run("config", "set", "--secret", "hfToken", TOKEN)
    said = new.run("up", "--yes", "--skip-preview")
    said += new.run("up", "--yes", "--diff") + new.run("stack", "output", "--json") + new.export()
    assert TOKEN not in said
    files = [path for path in (new.folder / "states").rglob("*") if path.is_file()]
    files += new.project.glob("Pulumi*.yaml")
    assert files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    # It did reach what keeps it.
    (kept,) = (
        each
        for key, each in new.cloud().resources.items()
        if key.startswith("aws:secretsmanager/secretVersion:")
    )
    assert kept.inputs["secretString"] == TOKEN


def test_protection_stops_a_destroy_before_anything_is_gone(dev: Stack):
    dev.up(protect=True)
    before = set(dev.cloud().resources)
    with pytest.raises(PulumiError, match="protect"):
        dev.destroy()
    assert set(dev.cloud().resources) == before


def test_without_a_preview_what_is_protected_stays_and_goes_once_it_is_not(dev: Stack):
    dev.up(protect=True)
    with pytest.raises(PulumiError, match="protect"):
        dev.destroy("--skip-preview")
    left = {key.partition(" ")[0] for key in dev.cloud().resources}
    assert left >= {
        "aws:efs/fileSystem:FileSystem",
        "aws:efs/accessPoint:AccessPoint",
        "aws:ecr/repository:Repository",
    }
    dev.up(protect=False)
    dev.destroy("--skip-preview")
    assert not dev.cloud().resources
