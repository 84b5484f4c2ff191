"""A stack in a network that is there: read by the real client, applied by the real provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.account import Account as Target
from infra.existing_network import FoundNetwork, find_network, read_network
from infra.settings import Settings
from local.program.declare import read_config
from tests.infra.program import ROOT
from tests.provider.aws.server import KEYS
from tests.provider.conftest import Account, Client
from tests.provider.existing import Laid, lay_network, mount, s3_endpoint
from tests.provider.program import Program
from tests.provider.schema import Schema

pytestmark = pytest.mark.slow


def settings_of(laid: Laid, **keys: Any) -> Settings:
    config = {
        key.removeprefix("hf-lambda:"): value
        for key, value in read_config(ROOT, "dev").items()
        if not key.startswith("aws:")
    }
    return Settings.model_validate({**config, **laid.keys(), **keys})


@pytest.fixture
def asked(aws: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """As `aws`, which the program's own clients ask too."""
    ask(monkeypatch, aws("ec2").meta.endpoint_url)
    return aws


def ask(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for key, value in {**KEYS, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(key, value)


HERE = Target(region="us-east-1")


def look(laid: Laid, **keys: Any) -> FoundNetwork:
    return read_network(HERE, settings_of(laid, **keys))


def test_a_good_network_is_read_as_it_is(asked: Client):
    laid = lay_network(asked)
    found = look(laid)
    assert found.vpc and (found.vpc.dns_support, found.vpc.dns_hostnames, found.vpc.dedicated) == (
        True,
        True,
        False,
    )
    assert {each.id: (each.zone, each.ipv6, each.route_table_id) for each in found.subnets} == {
        subnet: (zone, True, table)
        for subnet, zone, table in zip(laid.subnets, ("us-east-1a", "us-east-1b"), laid.tables, strict=True)
    }
    for subnet in found.subnets:
        ways = {each.destination: each.target[:4] for each in subnet.routes if each.destination in ANYWHERE}
        assert ways == {"0.0.0.0/0": "nat-", "::/0": "eigw"}
    assert {"us-east-1a", "us-east-1f"} <= found.zones
    for egress in ("nat", "ipv6", "none"):
        network = find_network(settings_of(laid, egress=egress), HERE, read_network)
        assert network and [each.id for each in network.subnets] == [*laid.subnets]
        assert network.tables_without_s3 == laid.tables


ANYWHERE = ("0.0.0.0/0", "::/0")


def test_what_is_not_there_is_named_whatever_else_is_wrong(asked: Client):
    laid = lay_network(asked, EnableDnsHostnames=False)
    nowhere = "subnet-0123456789abcdef0"
    keys = {"subnetIds": [laid.subnets[0], nowhere], "fileSystemId": "fs-0123456789abcdef0"}
    with pytest.raises(pulumi.RunError) as caught:
        find_network(settings_of(laid, **keys), HERE, read_network)
    said = str(caught.value)
    assert "enableDnsHostnames" in said and nowhere in said and "fs-0123456789abcdef0" in said
    gone = settings_of(laid, vpcId="vpc-0123456789abcdef0")
    with pytest.raises(pulumi.RunError, match="no such VPC"):
        find_network(gone, HERE, read_network)


def test_a_subnet_without_a_table_of_its_own_follows_the_main_one(asked: Client):
    laid = lay_network(asked)
    vpc = [{"Name": "vpc-id", "Values": [laid.vpc]}]
    ec2 = asked("ec2")
    tables = ec2.describe_route_tables(Filters=vpc)["RouteTables"]
    (main,) = (table for table in tables if any(each["Main"] for each in table["Associations"]))
    plain = ec2.create_subnet(VpcId=laid.vpc, CidrBlock="172.31.9.0/24", AvailabilityZone="us-east-1c")
    (subnet,) = look(laid, subnetIds=[plain["Subnet"]["SubnetId"]]).subnets
    assert (subnet.route_table_id, subnet.ipv6) == (main["RouteTableId"], False)


def test_a_file_systems_policy_and_mount_targets_are_read(asked: Client):
    laid = lay_network(asked)
    group = mount(asked, laid, 1)
    found = look(laid, fileSystemId=laid.file_system).file_system
    assert found and (found.policy, found.available, found.zone) == (False, True, None)
    assert [(each.zone, each.security_group_ids, each.own) for each in found.mount_targets] == [
        ("us-east-1b", (group,), False)
    ]
    asked("efs").put_file_system_policy(FileSystemId=laid.file_system, Policy="{}")
    again = look(laid, fileSystemId=laid.file_system).file_system
    assert again and again.policy


def test_an_s3_endpoint_is_known_by_the_tables_that_it_is_in(asked: Client):
    laid = lay_network(asked)
    endpoint = s3_endpoint(asked, laid, laid.tables[0])
    (found,) = look(laid).s3_endpoints
    assert (found.id, found.route_table_ids, found.own, found.open) == (
        endpoint,
        (laid.tables[0],),
        False,
        True,
    )
    network = find_network(settings_of(laid, egress="none"), HERE, read_network)
    assert network and network.tables_without_s3 == (laid.tables[1],)
    assert network.s3_prefix_list_id and network.s3_prefix_list_id.startswith("pl-")


def test_an_aws_that_cannot_be_asked_is_said(asked: Client, monkeypatch: pytest.MonkeyPatch):
    laid = lay_network(asked)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    once = Target.model_validate({"region": "us-east-1", "maxRetries": 1})
    with pytest.raises(pulumi.RunError, match=f"AWS cannot be asked for {laid.vpc}"):
        read_network(once, settings_of(laid))


@pytest.fixture
def program(tmp_path: Path, schema: Schema, account: Account, monkeypatch: pytest.MonkeyPatch) -> Program:
    ask(monkeypatch, account.address)
    return Program(tmp_path / "program", schema, account.stack(), read_network=read_network)


def resources(account: Account, laid: Laid) -> dict[str, set[str]]:
    """What is in the VPC and the file system, whoever made it."""
    ec2, efs = account.client("ec2"), account.client("efs")
    vpc = [{"Name": "vpc-id", "Values": [laid.vpc]}]
    targets = efs.describe_mount_targets(FileSystemId=laid.file_system)["MountTargets"]
    endpoints = ec2.describe_vpc_endpoints(Filters=vpc)["VpcEndpoints"]
    groups = ec2.describe_security_groups(Filters=vpc)["SecurityGroups"]
    return {
        "groups": {each["GroupId"] for each in groups},
        "rules": {
            each["SecurityGroupRuleId"]
            for each in ec2.describe_security_group_rules(
                Filters=[{"Name": "group-id", "Values": [group["GroupId"] for group in groups]}]
            )["SecurityGroupRules"]
        },
        "subnets": {each["SubnetId"] for each in ec2.describe_subnets(Filters=vpc)["Subnets"]},
        "tables": {each["RouteTableId"] for each in ec2.describe_route_tables(Filters=vpc)["RouteTables"]},
        "targets": {each["MountTargetId"] for each in targets},
        "endpoints": {each["VpcEndpointId"] for each in endpoints if each["State"] != "deleted"},
    }


def test_a_stack_comes_into_a_network_changes_and_leaves_it_as_it_was(program: Program, account: Account):
    laid = lay_network(account.client)
    before = resources(account, laid)
    program.up(**laid.keys())
    for egress in ("ipv6", "nat"):
        program.up(egress=egress)
    program.up(azCount=1, subnetIds=[laid.subnets[1]])
    program.up(azCount=2, subnetIds=[*laid.subnets[::-1]])
    program.destroy()
    assert resources(account, laid) == before


def test_a_stack_uses_a_file_system_and_an_s3_endpoint_that_are_there(program: Program, account: Account):
    laid = lay_network(account.client)
    mount(account.client, laid, 0)
    s3_endpoint(account.client, laid, laid.tables[0])
    before = resources(account, laid)
    program.up(**laid.keys(fileSystemId=laid.file_system, egress="none"))
    after = resources(account, laid)
    for kind in ("endpoints", "targets"):
        assert len(after[kind] - before[kind]) == 1
    # It finds what it has made among what is there, and neither takes it for somebody else's nor away.
    program.up()
    assert resources(account, laid) == after
    program.destroy()
    assert resources(account, laid) == before
    assert account.client("efs").describe_file_systems(FileSystemId=laid.file_system)["FileSystems"]


def test_two_stacks_share_a_network_and_a_file_system(
    tmp_path: Path, schema: Schema, account: Account, monkeypatch: pytest.MonkeyPatch
):
    ask(monkeypatch, account.address)
    laid = lay_network(account.client)
    for place in range(2):
        mount(account.client, laid, place)
    before = resources(account, laid)
    dev, prod = (
        Program(tmp_path / name, schema, account.stack(name), name, read_network=read_network)
        for name in ("dev", "prod")
    )
    dev.up(**laid.keys(fileSystemId=laid.file_system))
    prod.up(**laid.keys(fileSystemId=laid.file_system, protect=False, flowLogs=False))
    points = account.client("efs").describe_access_points(FileSystemId=laid.file_system)["AccessPoints"]
    assert {each["RootDirectory"]["Path"] for each in points} == {
        "/hf-lambda-dev/models",
        "/hf-lambda-prod/models",
    }
    prod.destroy()  # first: it uses the S3 endpoint of the other
    dev.destroy()
    assert resources(account, laid) == before


def test_roles_have_the_boundary_and_a_boundary_that_is_not_there_is_refused(
    program: Program, account: Account
):
    iam = account.client("iam")
    with pytest.raises(Exception, match="does not exist or is not attachable"):
        program.up(permissionsBoundary="arn:aws:iam::123456789012:policy/boundary")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.create_policy(PolicyName="boundary", PolicyDocument=document)
    program.up()
    roles = [iam.get_role(RoleName=each["RoleName"])["Role"] for each in iam.list_roles()["Roles"]]
    bounds = {each["PermissionsBoundary"]["PermissionsBoundaryArn"] for each in roles}
    assert bounds == {"arn:aws:iam::123456789012:policy/boundary"}
    program.up(permissionsBoundary="")
    program.destroy()
