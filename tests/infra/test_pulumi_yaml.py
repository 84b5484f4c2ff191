"""Pulumi.yaml: every key is typed, described, defaulted, and read; nothing else has a default."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from infra.keys import keys_of
from infra.settings import Settings
from tests.infra.program import ROOT, Deploy
from warmup.prepare import Tolerance
from warmup.worker.warm import tolerance_of

PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
KEYS = {key: spec for key, spec in PROJECT["config"].items() if ":" not in key}
TYPES = {"integer": int, "boolean": bool, "string": str, "object": dict, "array": list}


def test_every_key_is_known_to_the_settings_and_every_setting_is_a_key():
    assert set(KEYS) == set(keys_of(Settings))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_means_here_what_it_means_to_the_settings(key: str):
    assert KEYS[key]["description"] == keys_of(Settings)[key].description
    given = Settings.model_json_schema()["properties"][key]
    while "$ref" in given:
        given = Settings.model_json_schema()["$defs"][given["$ref"].rpartition("/")[2]]
    assert KEYS[key]["type"] == given["type"]


def test_the_default_tolerance_is_what_the_warm_up_takes_for_what_is_left_out():
    default = json.dumps(KEYS["tolerance"]["default"])
    assert tolerance_of({"PREPARE_TOLERANCE": default}) == tolerance_of({}) == Tolerance()


@pytest.mark.parametrize("key", KEYS)
def test_a_key_has_a_type_a_description_and_a_default_of_that_type(key: str):
    spec = KEYS[key]
    assert set(spec) == {"type", "description", "default", *(["items"] if spec["type"] == "array" else [])}
    assert type(spec["default"]) is TYPES[spec["type"]]
    assert spec["description"].endswith(".")


def test_a_default_is_allowed_and_stays_as_it_is():
    defaults = {key: spec["default"] for key, spec in KEYS.items()}
    settings = Settings.model_validate(defaults).model_dump(by_alias=True, exclude_unset=True)
    assert {
        **settings,
        "hfToken": settings["hfToken"].get_secret_value(),
        **{key: list(settings[key]) for key in ("apiKeys", "zones", "subnetIds")},
    } == defaults


def test_no_key_is_secret_with_a_default_for_then_the_cli_refuses_every_stack():
    assert not [key for key, spec in KEYS.items() if spec.get("secret")]


def test_the_region_has_a_value_as_keys_of_other_packages_must():
    assert PROJECT["config"]["aws:region"] == {"value": "us-east-1"}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_stack_files_set_known_keys_to_other_values_than_the_default(stack: str):
    """Without a namespace: under another `name:` in Pulumi.yaml they would belong to nobody."""
    for key, value in yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"].items():
        assert value != KEYS[key]["default"]


def test_the_program_uses_the_environment_that_setup_makes():
    assert PROJECT["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}


def test_no_code_gives_a_setting_a_default(mistakes: Callable[..., list[str]]):
    missing = mistakes("test", **dict.fromkeys(KEYS))[1:]
    assert set(missing) == {f"{key} is missing; Pulumi.yaml must hold its default" for key in KEYS}


@pytest.mark.slow
def test_each_setting_changes_what_is_asked_for(deploy: Deploy):
    """A key that changes nothing is a key that nobody reads."""
    others: dict[str, Any] = {
        "memoryMb": 512,
        "timeoutSeconds": 5,
        "reservedConcurrency": 3,
        "provisionedConcurrency": 1,
        "keepWarm": "rate(5 minutes)",
        "functionUrl": "public",
        "apiKeys": ["k" * 32],
        "cors": {"origins": ["https://example.com"]},
        "async": True,
        "asyncRetries": 0,
        "asyncMaxAgeSeconds": 60,
        "batch": True,
        "batchBucket": "events",
        "coldDownload": True,
        "logRetentionDays": 30,
        "logMessages": True,
        "tracing": "active",
        "image": "full",
        "storage": "image",
        "snapStart": True,
        "environment": {"AB": "b"},
        "tags": {"a": "b"},
        "endpoints": {"sentiment": {"memoryMb": 512}},
        "architecture": "arm64",
        "buildArgs": {"a": "b"},
        "azCount": 1,
        "zones": ["us-east-1c", "us-east-1d"],
        "egress": "ipv6",
        "relayStorageMb": 512,
        "vpcId": "vpc-1",
        "subnetIds": ["subnet-3", "subnet-4"],
        "fileSystemId": "fs-1",
        "permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
        "kmsKeyArn": "new",
        "flowLogs": True,
        "deadLetters": True,
        "immutableTags": True,
        "keepVersions": 1,
        "release": "gated",
        "canary": 5,
        "canaryMinutes": 1,
        "hubEndpoint": "https://hub.local",
        "inputBucket": "inputs/photos",
        "hfToken": "hf_x",
        "warmupMemoryMb": 4096,
        "warmupConcurrency": 5,
        "tolerance": {"probability": 0.1},
        "warmOnDeploy": True,
        "dashboard": False,
        "alarmEmail": "a@b.org",
        "monthlyBudgetUsd": 5,
        "allowRemoteCode": True,
        "protect": True,
    }
    assert set(others) == set(KEYS)
    usual = asked(deploy)
    del others["keepVersions"]  # what the hook of the alias keeps is no input: see test_hooks
    for key in ("canary", "canaryMinutes"):  # for whoever releases: see test_function
        value = others.pop(key)
        assert deploy("dev", release="gated", **{key: value}).outputs["release"][key] == value
    network = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"]}
    needs: dict[str, dict[str, Any]] = {
        "monthlyBudgetUsd": {"alarmEmail": "a@b.org"},
        "cors": {"functionUrl": "iam"},
        "snapStart": {"storage": "image"},
        "vpcId": {**network, "vpcId": "vpc-2"},
        "subnetIds": network,
        "fileSystemId": network,
        "coldDownload": {"egress": "nat"},
        "asyncRetries": {"async": True},
        "batch": {"batchBucket": "inputs"},
        "batchBucket": {"batch": True, "batchBucket": "inputs"},
        "asyncMaxAgeSeconds": {"async": True},
    }
    for key, value in others.items():
        also = needs.get(key, {})
        assert asked(deploy, **{**also, key: value}) != (asked(deploy, **also) if also else usual), key


def asked(deploy: Callable[..., Any], **keys: Any) -> dict[str, Any]:
    return {each.urn: (each.inputs, each.protect, each.hooks) for each in deploy("dev", **keys).resources}
