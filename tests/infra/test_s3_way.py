"""`inputBucket`: what endpoints may read of it, and the way of the network there."""

import json
from typing import Any

import pulumi
import pytest

from tests.infra.asked import Deployed, statements
from tests.infra.program import ROOT, Deploy, run_program

OBJECTS = "arn:aws:s3:::inputs/photos/*"


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    return run_program(ROOT, "dev", egress="nat", inputBucket="inputs/photos")


def policy_of_endpoint(deployed: Deployed) -> list[dict[str, Any]]:
    given = deployed.one("ec2/vpcEndpoint").inputs["policy"]
    return [*(json.loads(given) if isinstance(given, str) else given)["Statement"]]


def test_endpoints_may_read_the_folder_and_nothing_else_of_s3(deployed: Deployed):
    policies = deployed.all("iam/rolePolicy")
    of_s3 = {
        name: statement
        for name, policy in policies.items()
        for statement in policy.policy()
        if "s3:" in json.dumps(statement["Action"])
    }
    assert set(of_s3) == {"sentiment-cache", "summarization-cache"}
    for statement in of_s3.values():
        assert (statement["Effect"], statement["Action"], statement["Resource"]) == (
            "Allow",
            "s3:GetObject",
            OBJECTS,
        )
        assert "Condition" not in statement
    for script in ("sentiment", "summarization"):
        variables = deployed.function(script).inputs["environment"]["variables"]
        assert variables["INPUT_BUCKET"] == "inputs/photos/"
    assert "INPUT_BUCKET" not in deployed.function("warmup").inputs["environment"]["variables"]


def test_the_way_there_lets_nothing_else_through(deployed: Deployed):
    endpoint = deployed.one("ec2/vpcEndpoint")
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert endpoint.inputs["routeTableIds"] == [f"network-private-{index}-id" for index in range(2)]
    (statement,) = policy_of_endpoint(deployed)
    assert (statement["Action"], statement["Resource"]) == ("s3:GetObject", OBJECTS)
    rules = deployed.all("vpc/securityGroupEgressRule")
    to_s3 = [each.inputs for each in rules.values() if each.inputs.get("prefixListId")]
    assert [(each["securityGroupId"], each["toPort"]) for each in to_s3] == [("network-endpoints-id", 443)]
    waits = deployed.before(deployed.function("sentiment"))
    assert {("ec2/vpcEndpoint", "s3"), ("vpc/securityGroupEgressRule", "s3-endpoints")} <= waits


def test_staged_models_and_inputs_share_the_one_way_that_a_route_table_has(deploy: Deploy):
    deployed = deploy("dev", egress="relay", inputBucket="inputs")
    sids = {each["Sid"]: each for each in policy_of_endpoint(deployed)}
    assert set(sids) == {"ReadStagedModels", "DeleteWhatIsCached", "ReadInputs"}
    assert sids["ReadInputs"]["Resource"] == "arn:aws:s3:::inputs/*"
    rules = deployed.all("vpc/securityGroupEgressRule")
    to_s3 = {each.inputs["securityGroupId"] for each in rules.values() if each.inputs.get("prefixListId")}
    assert to_s3 == {"network-endpoints-id", "network-downloads-id"}
    of_warmup = statements({"warmup-warm": deployed.all("iam/rolePolicy")["warmup-warm"]})
    assert "ReadInputs" not in of_warmup and "ReadStagedModels" in of_warmup


def test_without_it_endpoints_reach_the_cache_alone(dev: Deployed):
    rules = dev.all("vpc/securityGroupEgressRule").values()
    to_s3 = [each.inputs["securityGroupId"] for each in rules if each.inputs.get("prefixListId")]
    assert to_s3 == ["network-downloads-id"]
    assert "ReadInputs" not in {each["Sid"] for each in policy_of_endpoint(dev)}
    assert "INPUT_BUCKET" not in dev.function("sentiment").inputs["environment"]["variables"]


@pytest.mark.parametrize(
    "given",
    ["Inputs", "s3://inputs", "in", "inputs/*", "inputs/a/../b", "inputs//a", "a..b/c", "inputs/${x}", "-in"],
)
def test_what_is_no_bucket_or_folder_is_refused(deploy: Deploy, given: str):
    with pytest.raises(pulumi.RunError, match=r"inputBucket is .* must be a bucket, or a folder of one"):
        deploy("dev", inputBucket=given)


def test_a_region_of_another_partition_has_its_own_arns(deploy: Deploy):
    zones = ["us-gov-west-1a", "us-gov-west-1b"]
    deployed = deploy(
        "dev", inputBucket="inputs", egress="nat", aws__region="us-gov-west-1", region_zones=zones
    )
    assert policy_of_endpoint(deployed)[0]["Resource"] == "arn:aws-us-gov:s3:::inputs/*"
