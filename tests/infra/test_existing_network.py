"""A stack in a network that is there: what it makes, what it leaves alone, and what it refuses beforehand."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import pulumi
import pytest
import yaml

from infra.existing_network import (
    FileSystem,
    FoundNetwork,
    GatewayEndpoint,
    MountTarget,
    Route,
    Subnet,
    Vpc,
    mistakes_in,
)
from infra.settings import Settings
from tests.families import others_slow
from tests.infra.asked import Deployed
from tests.infra.program import ROOT, Deploy

NAT, EGRESS_ONLY = Route("0.0.0.0/0", "nat-1", True), Route("::/0", "eigw-1", True)
SUBNETS = tuple(
    Subnet(f"subnet-{digit}", "vpc-1", f"us-east-1{zone}", True, f"rtb-{digit}", (NAT, EGRESS_ONLY))
    for digit, zone in (("a", "a"), ("b", "b"))
)
GOOD = FoundNetwork(
    Vpc("vpc-1", dns_support=True, dns_hostnames=True, dedicated=False),
    SUBNETS,
    frozenset({"us-east-1a", "us-east-1b", "us-east-1c"}),
)
KEYS: dict[str, Any] = {"vpcId": "vpc-1", "subnetIds": ["subnet-a", "subnet-b"]}
DEFAULTS = {
    key: spec["default"]
    for key, spec in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].items()
    if ":" not in key
}


def found(**changes: Any) -> FoundNetwork:
    return dataclasses.replace(GOOD, **changes)


def file_system(*mount_targets: MountTarget, **changes: Any) -> FileSystem:
    good = FileSystem("fs-1", "arn:aws:elasticfilesystem:us-east-1:1:file-system/fs-1", True, None, True, ())
    return dataclasses.replace(good, mount_targets=mount_targets, **changes)


def subnets(*changes: dict[str, Any]) -> tuple[Subnet, ...]:
    """The good ones, each with its changes."""
    return tuple(
        dataclasses.replace(subnet, **change) for subnet, change in zip(SUBNETS, changes, strict=True)
    )


@pytest.fixture
def into(deploy: Deploy) -> Callable[..., Deployed]:
    """`into(found, key=value)`: the stack dev in that network."""

    def run(network: FoundNetwork = GOOD, **keys: Any) -> Deployed:
        return deploy("dev", read_network=lambda account, settings: network, **{**KEYS, **keys})

    return run


def ids(deployed: Deployed, kind: str) -> dict[str, str]:
    return {name: each.inputs["subnetId"] for name, each in deployed.all(kind).items()}


def test_it_makes_security_groups_and_mount_targets_alone(into: Callable[..., Deployed]):
    deployed = into(egress="nat")
    assert {each.type.rpartition(":")[0] for each in deployed.resources if "aws:ec2" in each.type} == {
        "aws:ec2/securityGroup"
    }
    groups = deployed.all("ec2/securityGroup")
    assert set(groups) == {"network-cache", "network-downloads", "network-endpoints"}
    assert {each.inputs["vpcId"] for each in groups.values()} == {"vpc-1"}
    assert ids(deployed, "efs/mountTarget") == {
        "cache-us-east-1a": "subnet-a",
        "cache-us-east-1b": "subnet-b",
    }
    for function in deployed.all("lambda/function").values():
        assert function.inputs["vpcConfig"]["subnetIds"] == ["subnet-a", "subnet-b"]
        assert deployed.before(function) >= {("efs/mountTarget", f"cache-us-east-1{zone}") for zone in "ab"}


def test_the_order_of_the_subnets_is_the_configs_and_changes_no_mount_target(into: Callable[..., Deployed]):
    turned = into(subnetIds=["subnet-b", "subnet-a"])
    assert ids(turned, "efs/mountTarget") == ids(into(), "efs/mountTarget")
    assert turned.function("warmup").inputs["vpcConfig"]["subnetIds"] == ["subnet-b", "subnet-a"]


THEIRS = MountTarget("vpc-1", "us-east-1a", ("sg-1", "sg-2"), own=False)
OURS = MountTarget("vpc-1", "us-east-1b", ("sg-9",), own=True)
ELSEWHERE = MountTarget("vpc-1", "us-east-1c", ("sg-3",), own=False)


def rules(deployed: Deployed, direction: str) -> set[tuple[str, str]]:
    return {
        (each.inputs["securityGroupId"], each.inputs["referencedSecurityGroupId"])
        for each in deployed.all(f"vpc/securityGroup{direction}Rule").values()
        if each.inputs["toPort"] == 2049
    }


def test_an_existing_file_system_gets_an_access_point_and_the_mount_targets_that_it_lacks(
    into: Callable[..., Deployed],
):
    deployed = into(found(file_system=file_system(THEIRS, ELSEWHERE)), fileSystemId="fs-1")
    assert not deployed.all("efs/fileSystem") and not deployed.all("efs/fileSystemPolicy")
    point = deployed.one("efs/accessPoint").inputs
    assert point["fileSystemId"] == "fs-1"
    # Two stacks of one file system must not prune each other's models.
    assert point["rootDirectory"]["path"] == "/hf-lambda-dev/models"
    assert ids(deployed, "efs/mountTarget") == {"cache-us-east-1b": "subnet-b"}
    functions, targets = ("network-endpoints-id", "network-downloads-id"), ("sg-1", "network-cache-id")
    between = {(function, target) for function in functions for target in targets}
    assert rules(deployed, "Egress") == between
    assert rules(deployed, "Ingress") == {(target, function) for function, target in between}
    statements = deployed.all("iam/rolePolicy")["sentiment-cache"].policy()
    assert statements[0]["Resource"] == "arn:aws:elasticfilesystem:us-east-1:1:file-system/fs-1"
    assert deployed.outputs["cache"]["fileSystemId"] == "fs-1"


def test_what_it_made_itself_it_finds_again_and_keeps(into: Callable[..., Deployed]):
    """The second deployment sees the mount target of the first: it must not take it for somebody else's."""
    first = into(found(file_system=file_system(THEIRS)), fileSystemId="fs-1")
    second = into(found(file_system=file_system(THEIRS, OURS)), fileSystemId="fs-1")
    assert [(each.urn, each.inputs) for each in sorted(first.resources, key=lambda each: each.urn)] == [
        (each.urn, each.inputs) for each in sorted(second.resources, key=lambda each: each.urn)
    ]
    (group,) = (each for name, each in second.all("ec2/securityGroup").items() if "cache" in name)
    assert group.inputs["tags"] == {"Name": "hf-lambda-dev-cache"}


def test_where_every_zone_has_a_mount_target_there_is_no_group_for_one(into: Callable[..., Deployed]):
    other = dataclasses.replace(THEIRS, zone="us-east-1b", security_group_ids=("sg-1",))
    deployed = into(found(file_system=file_system(THEIRS, other)), fileSystemId="fs-1")
    assert not deployed.all("efs/mountTarget")
    assert set(deployed.all("ec2/securityGroup")) == {"network-downloads", "network-endpoints"}
    assert {target for target, _ in rules(deployed, "Ingress")} == {"sg-1"}
    # Only with the rules is a mount target one that functions reach.
    assert deployed.before(deployed.function("sentiment")) >= {
        ("vpc/securityGroupIngressRule", "network-endpoints-nfs-sg-1")
    }


PREFIX_LIST = Route("pl-63", "vpce-1", True)


def endpoint(*tables: str, **changes: Any) -> GatewayEndpoint:
    return dataclasses.replace(GatewayEndpoint("vpce-1", tables, own=False, open=True), **changes)


def test_an_s3_endpoint_that_is_there_is_used(into: Callable[..., Deployed]):
    routed = subnets({"routes": (PREFIX_LIST,)}, {"routes": (PREFIX_LIST,)})
    network = found(subnets=routed, s3_endpoints=(endpoint("rtb-a", "rtb-b"),))
    deployed = into(network, egress="none")
    assert not deployed.all("ec2/vpcEndpoint")
    assert deployed.all("vpc/securityGroupEgressRule")["s3-downloads"].inputs["prefixListId"] == "pl-63"
    assert ("vpc/securityGroupEgressRule", "s3-downloads") in deployed.before(deployed.function("warmup"))


def test_an_s3_endpoint_is_made_for_the_route_tables_that_lack_one(into: Callable[..., Deployed]):
    network = found(subnets=subnets({"routes": (PREFIX_LIST,)}, {}), s3_endpoints=(endpoint("rtb-a"),))
    made = into(network, egress="none").one("ec2/vpcEndpoint").inputs
    assert made["routeTableIds"] == ["rtb-b"]
    # Others use these route tables too: its policy must not keep them from their buckets.
    assert "policy" not in made


def test_an_s3_endpoint_of_its_own_stays_its_own(into: Callable[..., Deployed]):
    own = endpoint("rtb-a", "rtb-b", own=True)
    network = found(subnets=subnets({"routes": (PREFIX_LIST,)}, {}), s3_endpoints=(own,))
    made = into(network, egress="none").one("ec2/vpcEndpoint").inputs
    assert made["routeTableIds"] == ["rtb-a", "rtb-b"]
    assert made["tags"] == {"Name": "hf-lambda-dev-staging"}


def test_subnets_of_one_route_table_name_it_once(into: Callable[..., Deployed]):
    network = found(subnets=subnets({"route_table_id": "rtb-m"}, {"route_table_id": "rtb-m"}))
    assert into(network, egress="none").one("ec2/vpcEndpoint").inputs["routeTableIds"] == ["rtb-m"]


@pytest.mark.parametrize(
    ("said", "route"),
    [
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}, NAT),
        (
            # Of a gateway that was deleted: https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
            Route("0.0.0.0/0", "nat-1", False),
        ),
        (
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"},
            EGRESS_ONLY,
        ),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "InstanceId": "i-1", "NetworkInterfaceId": "eni-1"},
            Route("0.0.0.0/0", "eni-1", True),
        ),
        ({"DestinationPrefixListId": "pl-63", "GatewayId": "vpce-1", "State": "active"}, PREFIX_LIST),
    ],
)
def test_a_route_is_read_whatever_it_leads_to(said: dict[str, str], route: Route):
    assert Route.from_json(said) == route


DNS = "without which names are not found; must be on: aws ec2 modify-vpc-attribute --vpc-id vpc-1"
NO_WAY = "must lead to a NAT gateway, or egress be ipv6, relay or none"
NO_IPV6_WAY = "must lead to an egress-only internet gateway, or egress be nat, relay or none"
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "no such vpc": (
        {"vpc": None},
        {},
        ["vpcId is vpc-1; there is no such VPC in us-east-1 of this account"],
    ),
    "names off": (
        {"vpc": Vpc("vpc-1", dns_support=False, dns_hostnames=False, dedicated=False)},
        {},
        [
            f"vpc-1 has enableDnsSupport off, {DNS} --enable-dns-support",
            f"vpc-1 has enableDnsHostnames off, {DNS} --enable-dns-hostnames",
        ],
    ),
    "dedicated": (
        {"vpc": Vpc("vpc-1", dns_support=True, dns_hostnames=True, dedicated=True)},
        {},
        ["vpc-1 has dedicated tenancy, which Lambda does not connect to; must be another VPC"],
    ),
    "no such subnet": (
        {"subnets": SUBNETS[:1]},
        {},
        ["subnetIds has subnet-b; there is no such subnet in us-east-1 of this account"],
    ),
    "a subnet of another vpc": (
        {"subnets": subnets({}, {"vpc_id": "vpc-2"})},
        {},
        ["subnetIds has subnet-b, which is in vpc-2; must be in vpc-1"],
    ),
    "one zone twice": (
        {"subnets": subnets({}, {"zone": "us-east-1a"})},
        {},
        [
            "subnetIds has subnet-a and subnet-b in us-east-1a; must be one for each zone, in which a file "
            "system has one mount target"
        ],
    ),
    "a local zone": (
        {"subnets": subnets({}, {"zone": "us-east-1-bos-1a"})},
        {},
        [
            "subnetIds has subnet-b in us-east-1-bos-1a, where neither EFS nor Lambda is; must be in "
            "us-east-1a, us-east-1b, us-east-1c"
        ],
    ),
    "no way out": (
        {"subnets": subnets({}, {"routes": ()})},
        {},
        [f"subnet-b (route table rtb-b) has no route for 0.0.0.0/0 with egress nat; {NO_WAY}"],
    ),
    "a way that is gone": (
        {"subnets": subnets({}, {"routes": (Route("0.0.0.0/0", "nat-1", False),)})},
        {},
        [f"subnet-b (route table rtb-b) sends 0.0.0.0/0 to nat-1, which is gone; {NO_WAY}"],
    ),
    "a public subnet": (
        {"subnets": subnets({"routes": (Route("0.0.0.0/0", "igw-1", True),)}, {})},
        {},
        [
            "subnet-a (route table rtb-a) sends 0.0.0.0/0 to igw-1: functions have no public address, so it "
            f"answers nobody; {NO_WAY}"
        ],
    ),
    "no ipv6": (
        {"subnets": subnets({"ipv6": False}, {"routes": (NAT,)})},
        {"egress": "ipv6"},
        [
            "subnet-a has no block of IPv6 addresses with egress ipv6; must have one",
            f"subnet-b (route table rtb-b) has no route for ::/0 with egress ipv6; {NO_IPV6_WAY}",
        ],
    ),
    "no such file system": (
        {},
        {"fileSystemId": "fs-1"},
        ["fileSystemId is fs-1; there is no such file system in us-east-1 of this account"],
    ),
    "a file system that is being made": (
        {"file_system": file_system(available=False)},
        {"fileSystemId": "fs-1"},
        ["fs-1 is not available yet; must be, to get an access point"],
    ),
    "a file system of another vpc": (
        {"file_system": file_system(dataclasses.replace(THEIRS, vpc_id="vpc-2"))},
        {"fileSystemId": "fs-1"},
        ["fs-1 has its mount targets in vpc-2; must be in vpc-1"],
    ),
    "a file system that code of a model could write to": (
        {"file_system": file_system(policy=False)},
        {"fileSystemId": "fs-1", "allowRemoteCode": True},
        [
            "fs-1 has no policy with allowRemoteCode true: code of a model could write what others load; "
            "must have one, or allowRemoteCode be false"
        ],
    ),
    "a file system of one zone": (
        {"file_system": file_system(zone="us-east-1a")},
        {"fileSystemId": "fs-1"},
        ["fs-1 is in us-east-1a alone (One Zone); subnetIds must have one subnet, in that zone"],
    ),
}


def said(network: FoundNetwork, **keys: Any) -> list[str]:
    settings = Settings.model_validate({**DEFAULTS, "egress": "nat", **KEYS, **keys})
    return [*mistakes_in(network, settings, "us-east-1")]


@pytest.mark.parametrize("case", WRONG)
def test_what_would_fail_or_hang_later_has_a_line(case: str):
    changes, keys, lines = WRONG[case]
    assert said(found(**changes), **keys) == lines


def test_everything_that_is_wrong_is_said_at_once_and_before_anything_is_made(deploy: Deploy):
    network = found(
        vpc=Vpc("vpc-1", dns_support=True, dns_hostnames=False, dedicated=False),
        subnets=(dataclasses.replace(SUBNETS[0], routes=()),),
    )
    registered = Deployed()
    with pytest.raises(pulumi.RunError) as caught:
        deploy(
            "dev",
            read_network=lambda *_: network,
            registered=registered,
            **KEYS,
            egress="nat",
            fileSystemId="fs-1",
        )
    first, *lines = str(caught.value).splitlines()
    assert first == "4 mistakes in the network of dev:"
    assert lines == said(network, fileSystemId="fs-1")
    assert {each.type for each in registered.resources} == {"pulumi:pulumi:Stack"}


def test_without_egress_no_way_out_is_asked_for():
    assert not said(found(subnets=subnets({"routes": ()}, {"routes": ()})), egress="none")


def test_ipv4_addresses_may_be_reached_by_whatever_the_network_has():
    ways = [Route("0.0.0.0/0", target, True) for target in ("tgw-1", "eni-1")]
    assert not said(found(subnets=subnets(*({"routes": (way,)} for way in ways))))


KEYS_THAT_DO_NOT_GO_TOGETHER: dict[str, tuple[dict[str, Any], str]] = {
    "subnets alone": (
        {"vpcId": ""},
        "subnetIds is set without vpcId; name its VPC, or leave both",
    ),
    "a vpc alone": (
        {"subnetIds": []},
        "vpcId is vpc-1 without subnetIds; name a private subnet for each zone",
    ),
    "a file system alone": (
        {"vpcId": "", "subnetIds": [], "fileSystemId": "fs-1"},
        "fileSystemId is set without vpcId; name its VPC, or leave both",
    ),
    "another number of subnets": (
        {"azCount": 3},
        "subnetIds has 2 and azCount is 3; name as many as azCount",
    ),
    "zones": (
        {"zones": ["us-east-1a", "us-east-1b"]},
        "zones has us-east-1a, us-east-1b with vpcId, whose subnets say where; leave it empty",
    ),
    "a gateway in each zone": (
        {"egress": "natPerAz"},
        "egress is natPerAz with vpcId, whose gateways are its own; must be nat (any route to IPv4 "
        "addresses), ipv6, relay or none",
    ),
}


@pytest.mark.parametrize("case", KEYS_THAT_DO_NOT_GO_TOGETHER)
def test_keys_that_do_not_go_together_are_said_before_aws_is_asked(
    mistakes: Callable[..., list[str]], case: str
):
    def never(account: Any, settings: Any) -> FoundNetwork:
        raise AssertionError("asked")

    keys, line = KEYS_THAT_DO_NOT_GO_TOGETHER[case]
    assert mistakes("dev", read_network=never, **{**KEYS, **keys})[1:] == [line]


def test_a_network_of_its_own_asks_aws_for_none(deploy: Deploy):
    def never(account: Any, settings: Any) -> FoundNetwork:
        raise AssertionError("asked")

    assert deploy("dev", read_network=never)


def test_a_boundary_is_on_every_role(deploy: Deploy):
    boundary = "arn:aws:iam::123456789012:policy/teams/boundary"
    roles = deploy("dev", permissionsBoundary=boundary, allowRemoteCode=True).all("iam/role")
    assert len(roles) == 5
    assert {each.inputs["permissionsBoundary"] for each in roles.values()} == {boundary}
    assert not any("permissionsBoundary" in each.inputs for each in deploy("dev").all("iam/role").values())


@pytest.mark.parametrize("egress", others_slow(["relay", "none"], "relay"))
def test_what_a_boundary_has_to_allow_is_what_the_documents_say(deploy: Deploy, egress: str):
    keys: dict[str, Any] = {"inputBucket": "own", "batchBucket": "jobs", "warmOnDeploy": egress == "relay"}
    batch = {"endpoints": {"sentiment": {"batch": True, "async": True, "keepWarm": "rate(5 minutes)"}}}
    deployed = deploy("prod", egress=egress, hfToken="hf_x", release="gated", **keys, **batch)
    asked = {
        action
        for policy in deployed.all("iam/rolePolicy").values()
        for statement in policy.policy()
        if statement["Effect"] == "Allow"
        for action in [statement["Action"]]
        for action in ([action] if isinstance(action, str) else action)
    }
    [row] = [
        line
        for line in (ROOT / "docs/operations.md").read_text().splitlines()
        if line.startswith("| boundary |")
    ]
    said = re.findall(r"`([a-z0-9]+:[A-Za-z*]+)`", row)
    assert len(asked) > 20
    assert not [
        each for each in asked if not each.startswith("ec2:") and not any(fnmatch(each, a) for a in said)
    ]
