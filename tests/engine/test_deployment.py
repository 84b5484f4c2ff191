"""The life of a stack under the real Pulumi engine: preview, up, up again, refresh, destroy."""

from __future__ import annotations

import json
from dataclasses import replace

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


def test_with_a_relay_nothing_bills_by_the_hour_and_the_network_leads_to_s3_and_the_cache(dev: Stack):
    dev.configure(egress="relay")
    assert "To keep it: pulumi config set egress nat" in dev.run("preview")
    dev.up(egress="relay")
    made = dev.cloud().resources
    kinds = {key.partition(" ")[0] for key in made}
    assert not kinds & {
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/eip:Eip",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway",
        "aws:ec2/route:Route",
    }
    (endpoint,) = (each for key, each in made.items() if key.startswith("aws:ec2/vpcEndpoint:"))
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert "egress is relay now" not in dev.run("preview")


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
