"""Settings that are right: what they change, and for whom."""

import json

import pulumi
import pytest

from tests.infra.asked import SECRET
from tests.infra.program import Deploy


def test_zero_and_false_are_values_and_not_the_default(deploy: Deploy):
    deployed = deploy("dev", reservedConcurrency=0, logRetentionDays=0, dashboard=False)
    assert deployed.function("sentiment").inputs["reservedConcurrentExecutions"] == 0
    assert {each.inputs["retentionInDays"] for each in deployed.all("cloudwatch/logGroup").values()} <= {0, 7}
    assert not deployed.all("cloudwatch/dashboard")


def test_overrides_change_one_endpoint(deploy: Deploy):
    override = {
        "memoryMb": 1024,
        "timeoutSeconds": 30,
        "reservedConcurrency": 5,
        "logRetentionDays": 30,
        "image": "full",
        "tags": {"team": "search"},
        "functionUrl": "iam",
    }
    deployed = deploy("dev", endpoints={"sentiment": override})
    one, other = (deployed.function(name).inputs for name in ("sentiment", "summarization"))
    assert (one["memorySize"], one["timeout"], one["reservedConcurrentExecutions"]) == (1024, 30, 5)
    assert one["tags"] == {"team": "search"}
    assert (other["memorySize"], other["timeout"], other["reservedConcurrentExecutions"]) == (3008, 600, -1)
    assert not other["tags"]
    days = {
        name: each.inputs["retentionInDays"] for name, each in deployed.all("cloudwatch/logGroup").items()
    }
    assert days == {"sentiment": 30, "summarization": 7, "warmup": 7, "relay": 7}
    assert set(deployed.all("lambda/functionUrl")) == set(deployed.outputs["functionUrls"]) == {"sentiment"}
    assert json.dumps(deployed.outputs["functions"])


def test_variables_of_an_endpoint_are_secrets_whatever_else_is_set(deploy: Deploy):
    override = {"environment": {"API_KEY": "s3cret", "LEVEL": 3, "HOME": "/tmp/home"}}
    deployed = deploy("dev", endpoints={"sentiment": override}, environment={"REGION": "eu"})
    one, other = (
        deployed.function(name).wire["environment"]["variables"] for name in ("sentiment", "summarization")
    )
    assert {name: one[name]["value"] for name in ("API_KEY", "LEVEL", "HOME") if one[name][SECRET]} == {
        "API_KEY": "s3cret",
        "LEVEL": "3",
        "HOME": "/tmp/home",
    }
    assert "REGION" not in one and other["REGION"]["value"] == "eu" and other["REGION"][SECRET]
    assert one["MODEL_CACHE"] == "/mnt/hf_models_cache"
    warmup = deployed.function("warmup").inputs["environment"]["variables"]
    assert "API_KEY" not in warmup and "REGION" not in warmup


def test_a_mistake_among_an_endpoint_s_variables_shows_no_value(deploy: Deploy):
    with pytest.raises(
        pulumi.RunError, match=r"endpoints\.sentiment\.environment is what is set; must be"
    ) as caught:
        deploy("dev", endpoints={"sentiment": {"environment": {"AWS_REGION": "s3cret"}}})
    assert "s3cret" not in str(caught.value)
