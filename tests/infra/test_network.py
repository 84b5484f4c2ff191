"""Zones, ways out, and who may talk to whom."""

import itertools
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from infra.settings import Settings
from local.program.mock import Resource
from tests.families import others_slow
from tests.infra.asked import Deployed
from tests.infra.program import ROOT, ZONES, Deploy, run_program


def test_two_zones_have_a_public_and_a_private_subnet_each(nat: Deployed):
    subnets = {
        name: (each.inputs["cidrBlock"], each.inputs["availabilityZone"])
        for name, each in nat.all("ec2/subnet").items()
    }
    assert subnets == {
        "network-private-0": ("10.0.0.0/20", "us-east-1a"),
        "network-private-1": ("10.0.16.0/20", "us-east-1b"),
        "network-egress-public-0": ("10.0.240.0/24", "us-east-1a"),
        "network-egress-public-1": ("10.0.241.0/24", "us-east-1b"),
    }


def test_each_zone_has_a_mount_target_and_every_function_all_zones(prod: Deployed):
    private = [f"network-private-{index}-id" for index in range(3)]
    assert sorted(each.inputs["subnetId"] for each in prod.all("efs/mountTarget").values()) == private
    for each in (each for name, each in prod.all("lambda/function").items() if "relay" not in name):
        assert each.inputs["vpcConfig"]["subnetIds"] == private


@pytest.fixture(scope="module")
def modes() -> dict[str, Deployed]:
    """A deployment of each mode of `egress`."""
    return {egress: run_program(ROOT, "dev", egress=egress) for egress in EGRESS}


def routes(deployed: Deployed) -> dict[str, Any]:
    """Private route table -> what its default route leads to."""
    ways = ("natGatewayId", "egressOnlyGatewayId", "gatewayId")
    return {
        each.inputs["routeTableId"]: next(each.inputs[way] for way in ways if way in each.inputs)
        for each in deployed.all("ec2/route").values()
        if "private" in each.inputs["routeTableId"]
    }


def test_one_nat_gateway_serves_all_zones(nat: Deployed):
    assert set(nat.all("ec2/natGateway")) == set(nat.all("ec2/eip")) == {"network-egress-nat-0"}
    assert routes(nat) == {f"network-private-{index}-id": "network-egress-nat-0-id" for index in range(2)}


def test_nat_per_zone_has_one_in_each(deploy: Deploy):
    deployed = deploy("dev", egress="natPerAz", azCount=3)
    assert routes(deployed) == {
        f"network-private-{index}-id": f"network-egress-nat-{index}-id" for index in range(3)
    }
    assert {each.inputs["subnetId"] for each in deployed.all("ec2/natGateway").values()} == {
        f"network-egress-public-{index}-id" for index in range(3)
    }


def test_a_nat_gateway_waits_for_the_way_out_of_its_subnet(nat: Deployed):
    assert ("ec2/route", "network-egress-public") in nat.before(nat.one("ec2/natGateway"))


def test_ipv6_needs_no_gateway_by_the_hour(deploy: Deploy):
    deployed = deploy("dev", egress="ipv6")
    assert not deployed.all("ec2/natGateway") and not deployed.all("ec2/eip")
    assert routes(deployed) == {f"network-private-{index}-id": "network-egress-id" for index in range(2)}
    assert deployed.function("warmup").inputs["vpcConfig"]["ipv6AllowedForDualStack"] is True
    (rule,) = (each.inputs for each in egress_to_hosts(deployed))
    assert (rule["cidrIpv6"], rule.get("cidrIpv4")) == ("::/0", None)
    variables = deployed.function("warmup").inputs["environment"]["variables"]
    assert variables["AWS_USE_DUALSTACK_ENDPOINT"] == "true"


@pytest.mark.parametrize("egress", ["relay", "none"])
def test_a_network_that_models_are_staged_for_bills_nothing_and_leads_to_s3_and_the_cache_alone(
    deploy: Deploy, egress: str
):
    deployed = deploy("dev", **({} if egress == "relay" else {"egress": egress}))  # the default
    paid = ("ec2/natGateway", "ec2/eip", "ec2/internetGateway", "ec2/egressOnlyInternetGateway", "ec2/route")
    assert not [each for kind in paid for each in deployed.all(kind)]
    assert not egress_to_hosts(deployed)
    endpoint = deployed.one("ec2/vpcEndpoint")
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert endpoint.inputs["serviceName"] == "com.amazonaws.us-east-1.s3"
    assert endpoint.inputs["routeTableIds"] == [f"network-private-{index}-id" for index in range(2)]
    ways = {
        (each.inputs["securityGroupId"], each.inputs.get("prefixListId"), each.inputs["toPort"])
        for each in deployed.all("vpc/securityGroupEgressRule").values()
    }
    downloads = "network-downloads-id"
    assert ways == {(downloads, "pl-1", 443), (downloads, None, 2049), ("network-endpoints-id", None, 2049)}
    assert ("ec2/vpcEndpoint", "s3") in deployed.before(deployed.function("warmup"))


def test_without_egress_the_token_is_nobodys(deploy: Deploy):
    deployed = deploy("dev", egress="none", hfToken="hf_x")
    variables = deployed.function("warmup").inputs["environment"]["variables"]
    assert variables["STAGING_BUCKET"] == deployed.outputs["stagingBucket"] == "staging"
    # It could not reach Secrets Manager: the machine that runs the command downloads, with its own token.
    assert "HF_TOKEN_SECRET_ARN" not in variables
    assert "secretsmanager" not in json.dumps(
        [each.policy() for each in deployed.all("iam/rolePolicy").values()]
    )


@pytest.mark.parametrize(("egress", "days"), [("none", 7), ("relay", 1)])
def test_the_staging_bucket_is_closed_encrypted_and_forgets(deploy: Deploy, egress: str, days: int):
    deployed = deploy("dev", egress=egress)
    blocked = deployed.one("s3/bucketPublicAccessBlock").inputs
    assert {key for key, value in blocked.items() if value is True} == {
        *("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    }
    assert deployed.one("s3/bucketServerSideEncryptionConfiguration")
    (rule,) = deployed.one("s3/bucketLifecycleConfiguration").inputs["rules"]
    assert (rule["expiration"], rule["status"]) == ({"days": days}, "Enabled")
    (denied,) = deployed.one("s3/bucketPolicy").policy()
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    bucket = deployed.one("s3/bucket")
    arn = f"arn:aws:s3:us-east-1:123456789012:{bucket.name}"
    ways = deployed.one("ec2/vpcEndpoint").policy()
    assert {each.pop("Principal") for each in ways} == {"*"}
    assert [each for each in deployed.all("iam/rolePolicy")["warmup-warm"].policy() if each in ways] == ways
    allowed = [(each["Action"], each["Resource"]) for each in ways]
    reads = (["s3:GetObject", "s3:ListBucket"], [arn, f"{arn}/*"])
    # What has just been copied, and nothing that says what is to be copied.
    deletes = (["s3:DeleteObject"], [f"{arn}/*/blobs/*"])
    assert allowed == ([reads, deletes] if egress == "relay" else [reads])


EGRESS = get_args(Settings.model_fields["egress"].annotation)


@pytest.mark.parametrize("egress", others_slow(EGRESS, "relay", "nat"))
def test_every_mode_gives_the_private_subnets_their_free_ipv6_blocks(deploy: Deploy, egress: str):
    """AWS refuses to take a block from a VPC while a subnet has a part of it (InvalidCidrBlock.InUse):
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateVpcCidrBlock.html"""
    deployed = deploy("dev", egress=egress)
    assert deployed.one("ec2/vpc").inputs["assignGeneratedIpv6CidrBlock"] is True
    subnets = deployed.all("ec2/subnet")
    blocks = {name: each.inputs.get("ipv6CidrBlock") for name, each in subnets.items() if "private" in name}
    assert blocks == {"network-private-0": "2600:1f18::/64", "network-private-1": "2600:1f18:0:1::/64"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # From the default and back; the others, which the engine's tests go through too, are slow.
        pytest.param(before, after, marks=() if "relay" in (before, after) else pytest.mark.slow)
        for before, after in itertools.permutations(EGRESS, 2)
    ],
)
def test_a_change_of_egress_changes_ways_and_rules_and_nothing_that_they_lead_from(
    modes: dict[str, Deployed], before: str, after: str
):
    for kind in ("ec2/vpc", "ec2/subnet", "ec2/securityGroup", "efs/mountTarget"):
        had, has = (modes[mode].all(kind) for mode in (before, after))
        both = had.keys() & has.keys()
        assert both >= {name for name in had if "public" not in name}
        assert {name: had[name].inputs for name in both} == {name: has[name].inputs for name in both}


def test_a_rule_of_one_family_of_addresses_never_becomes_one_of_the_other(modes: dict[str, Deployed]):
    """ModifySecurityGroupRules: a rule's type cannot be changed.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html"""
    families: dict[str, set[str]] = {}
    for deployed in modes.values():
        for rule in egress_to_hosts(deployed):
            families.setdefault(rule.name, set()).add("cidrIpv6" if "cidrIpv6" in rule.inputs else "cidrIpv4")
    assert {len(each) for each in families.values()} == {1}


@pytest.mark.parametrize("kind", ["ec2/subnet", "ec2/securityGroup"])
def test_what_holds_network_interfaces_is_destroyed_before_the_roles_that_delete_them(
    dev: Deployed, kind: str
):
    """Lambda deletes a function's interfaces with its execution role, up to 45 minutes after the function:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html"""
    for name, each in dev.all(kind).items():
        if "public" not in name:
            for role in ("warmup", "sentiment", "summarization"):
                assert dev.before(each) >= {("iam/role", role), ("iam/rolePolicy", f"{role}-run")}


def test_a_zone_that_is_impaired_replaces_no_subnet(dev: Deployed):
    for each in dev.all("ec2/subnet").values():
        assert each.ignored == frozenset({"availabilityZone"})


def test_zones_are_taken_as_they_are_named(deploy: Deploy):
    deployed = deploy("dev", egress="nat", zones=["us-east-1d", "us-east-1b"])
    zones = {name: each.inputs["availabilityZone"] for name, each in deployed.all("ec2/subnet").items()}
    assert zones == {
        "network-private-0": "us-east-1d",
        "network-private-1": "us-east-1b",
        "network-egress-public-0": "us-east-1d",
        "network-egress-public-1": "us-east-1b",
    }


def test_a_zone_that_the_region_has_not_is_named(mistakes: Callable[..., list[str]]):
    line = "zones has us-east-1x; must be some of us-east-1a, us-east-1b, us-east-1c, us-east-1d"
    assert mistakes("dev", zones=["us-east-1a", "us-east-1x"]) == [line]


def rules(deployed: Deployed, direction: str) -> set[tuple[str, str, int]]:
    kind = f"vpc/securityGroup{direction}Rule"
    return {
        (each.inputs["securityGroupId"], each.inputs["referencedSecurityGroupId"], each.inputs["toPort"])
        for each in deployed.all(kind).values()
        if "referencedSecurityGroupId" in each.inputs
    }


def egress_to_hosts(deployed: Deployed) -> list[Resource]:
    found = deployed.all("vpc/securityGroupEgressRule").values()
    return [each for each in found if "cidrIpv4" in each.inputs or "cidrIpv6" in each.inputs]


def test_the_cache_is_open_to_functions_alone_and_endpoints_reach_nothing_else(nat: Deployed):
    dev = nat
    cache, endpoints, downloads = (f"network-{name}-id" for name in ("cache", "endpoints", "downloads"))
    assert rules(dev, "Ingress") == {(cache, endpoints, 2049), (cache, downloads, 2049)}
    assert rules(dev, "Egress") == {(endpoints, cache, 2049), (downloads, cache, 2049)}
    (https,) = egress_to_hosts(dev)
    assert https.inputs["securityGroupId"] == downloads
    assert (https.inputs["fromPort"], https.inputs["toPort"], https.inputs["ipProtocol"]) == (443, 443, "tcp")
    for target in dev.all("efs/mountTarget").values():
        assert target.inputs["securityGroups"] == [cache]


def test_the_default_group_of_the_vpc_lets_nothing_through(dev: Deployed):
    inputs = dev.one("ec2/defaultSecurityGroup").inputs
    assert "ingress" not in inputs and "egress" not in inputs


def test_a_region_with_too_few_zones_is_named_with_the_number_that_it_has(mistakes: Callable[..., list[str]]):
    assert mistakes("dev", azCount=3, region_zones=ZONES[:2]) == [
        "azCount is 3; must be at most 2 in this region"
    ]


@pytest.mark.parametrize("count", [1, 4])
def test_as_many_zones_as_asked_for(deploy: Deploy, count: int):
    assert len(deploy("dev", azCount=count).all("efs/mountTarget")) == count
