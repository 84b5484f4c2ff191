"""Settings that are right: what they change, and for whom."""

import json

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
    assert days == {"sentiment": 30, "summarization": 7, "warmup": 7}
    assert set(deployed.all("lambda/functionUrl")) == set(deployed.outputs["functionUrls"]) == {"sentiment"}
    assert json.dumps(deployed.outputs["functions"])
