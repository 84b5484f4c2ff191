"""Function URLs, instances that are kept initialised, and what `arn` then is."""

import pytest

from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT, Deploy


def test_there_is_no_address_unless_asked_for(dev: Deployed):
    assert not dev.all("lambda/functionUrl") and not dev.all("lambda/permission")
    assert dev.outputs["functionUrls"] == {}


def test_iam_needs_no_permission_of_the_function(deploy: Deploy):
    deployed = deploy("dev", functionUrl="iam")
    urls = deployed.all("lambda/functionUrl")
    assert {each.inputs["authorizationType"] for each in urls.values()} == {"AWS_IAM"}
    assert set(deployed.outputs["functionUrls"]) == {"sentiment", "summarization"}
    assert not deployed.all("lambda/permission")


def test_public_needs_both_permissions_and_the_second_holds_for_the_address_alone(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"functionUrl": "public"}})
    assert deployed.one("lambda/functionUrl").inputs["authorizationType"] == "NONE"
    permissions = {
        given["action"]: (given.get("functionUrlAuthType"), given.get("invokedViaFunctionUrl"))
        for given in (each.inputs for each in deployed.all("lambda/permission").values())
    }
    assert permissions == {"lambda:InvokeFunctionUrl": ("NONE", None), "lambda:InvokeFunction": (None, True)}


def test_kept_instances_need_a_version_and_are_invoked_through_its_alias(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"provisionedConcurrency": 2, "functionUrl": "public"}})
    assert deployed.function("sentiment").inputs["publish"] is True
    assert deployed.function("summarization").inputs["publish"] is False
    alias = deployed.one("lambda/alias").inputs
    assert (alias["name"], alias["functionVersion"]) == ("live", "7")
    kept = deployed.one("lambda/provisionedConcurrencyConfig").inputs
    assert (kept["qualifier"], kept["provisionedConcurrentExecutions"]) == ("live", 2)
    assert deployed.outputs["sentimentArn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:sentiment"
    assert deployed.one("lambda/functionUrl").inputs["qualifier"] == "live"
    assert {each.inputs["qualifier"] for each in deployed.all("lambda/permission").values()} == {"live"}


@pytest.mark.parametrize("name", ["sentiment", "warmup"])
def test_names_tell_stacks_apart(dev: Deployed, prod: Deployed, name: str):
    assert dev.function(name).name == f"hf-lambda-dev-{name}"
    assert prod.function(name).name == f"hf-lambda-prod-{name}"
