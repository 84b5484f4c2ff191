"""A network that is there already (`vpcId`): what AWS says of it, and whether a stack can live in it.

It is read at every run of the program, before anything is made: what would fail after twenty minutes, or
would hang at the first request, is a line of one error instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pulumi
from botocore.exceptions import BotoCoreError, ClientError

from warmup.protocol.records import Json

from .account import Account
from .naming import name_tag
from .settings import STAGED, Settings

CACHE_GROUP, S3_ENDPOINT = "cache", "staging"
"""Parts of the `Name` tags of what a stack makes here: by them it knows its own when it comes back."""


@dataclass(frozen=True)
class Vpc:
    id: str
    dns_support: bool
    dns_hostnames: bool
    dedicated: bool


@dataclass(frozen=True)
class Route:
    destination: str
    """A block of addresses, or the id of a prefix list."""
    target: str
    """What it leads to: `nat-...`, `igw-...`, `eigw-...`, `tgw-...`, `vpce-...`."""
    active: bool
    """False where its target is gone (AWS: blackhole)."""

    @classmethod
    def from_json(cls, described: Mapping[str, Json]) -> Route:
        """From what DescribeRouteTables says."""
        destinations = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
        targets = (
            *("NatGatewayId", "EgressOnlyInternetGatewayId", "TransitGatewayId", "NetworkInterfaceId"),
            *("InstanceId", "VpcPeeringConnectionId", "CarrierGatewayId", "LocalGatewayId"),
            *("CoreNetworkArn", "GatewayId"),
        )

        def first(keys: tuple[str, ...]) -> str:
            return next((str(described[key]) for key in keys if described.get(key)), "")

        return cls(first(destinations), first(targets), described.get("State", "active") == "active")


@dataclass(frozen=True)
class Subnet:
    id: str
    vpc_id: str
    zone: str
    ipv6: bool
    """Whether it has a block of IPv6 addresses."""
    route_table_id: str
    """Its own, or else the main one of the VPC."""
    routes: tuple[Route, ...]

    def route(self, destination: str) -> Route | None:
        return next((each for each in self.routes if each.destination == destination), None)


@dataclass(frozen=True)
class GatewayEndpoint:
    """A free way from route tables to S3."""

    id: str
    route_table_ids: tuple[str, ...]
    own: bool
    """Made by this stack."""
    open: bool
    """With AWS's own policy, which lets everything through."""


@dataclass(frozen=True)
class MountTarget:
    vpc_id: str
    zone: str
    security_group_ids: tuple[str, ...]
    own: bool
    """Made by this stack: it has this stack's security group."""


@dataclass(frozen=True)
class FileSystem:
    id: str
    arn: str
    available: bool
    zone: str | None
    """Of a One Zone file system."""
    policy: bool
    """Whether somebody has given it a policy; without one, EFS lets in whoever reaches a mount target."""
    mount_targets: tuple[MountTarget, ...]


@dataclass(frozen=True)
class FoundNetwork:
    """What there is of what `vpcId`, `subnetIds` and `fileSystemId` name."""

    vpc: Vpc | None
    subnets: tuple[Subnet, ...]
    zones: frozenset[str]
    """Of the region, without local zones and the like."""
    s3_endpoints: tuple[GatewayEndpoint, ...] = ()
    file_system: FileSystem | None = None


@dataclass(frozen=True)
class ExistingFileSystem:
    """`fileSystemId`: it gets an access point, and mount targets where it has none."""

    id: str
    arn: str
    group_of_zone: Mapping[str, str]
    """Zone -> a security group of the mount target that somebody else made there."""


@dataclass(frozen=True)
class ExistingNetwork:
    """What a stack that is deployed into it needs to know; every check has passed."""

    vpc_id: str
    subnets: tuple[Subnet, ...]
    """In the order of `subnetIds`; no two in one zone."""
    tables_without_s3: tuple[str, ...]
    """Route tables of the subnets in which nobody else's endpoint leads to S3."""
    s3_prefix_list_id: str | None
    """What somebody else's endpoint is the way to; None where there is none."""
    file_system: ExistingFileSystem | None


def read_actions(settings: Settings) -> tuple[str, ...]:
    """What the warm-up does with the bucket of staged models."""
    deletes = ("s3:DeleteObject",) if settings.egress == "relay" else ()
    return ("s3:GetObject", "s3:ListBucket", *deletes)


NetworkReader = Callable[[Account, Settings], FoundNetwork]


def find_network(settings: Settings, account: Account, read: NetworkReader) -> ExistingNetwork | None:
    """The network that `vpcId` names. Raises RunError with a line for each mistake in it."""
    if not settings.vpc_id:
        return None
    found = read(account, settings)
    mistakes = [*mistakes_in(found, settings, account.region)]
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise pulumi.RunError("\n".join([f"{count} in the network of {pulumi.get_stack()}:", *mistakes]))
    file_system = found.file_system
    if file_system and not file_system.policy:
        pulumi.log.warn(
            f"{file_system.id} has no policy: whatever reaches one of its mount targets, endpoints included, "
            "may read and write everything on it; docs/operations.md shows one"
        )
    order = {subnet_id: place for place, subnet_id in enumerate(settings.subnet_ids)}
    subnets = tuple(sorted(found.subnets, key=lambda subnet: order[subnet.id]))
    theirs = [each for each in found.s3_endpoints if not each.own]
    with_s3 = {table for each in theirs for table in each.route_table_ids}
    used = [
        each for each in theirs if any(subnet.route_table_id in each.route_table_ids for subnet in subnets)
    ]
    for each in used:
        if each.open:
            continue
        if settings.is_staged:
            pulumi.log.warn(
                f"the warm-up reads staged models through {each.id}, which has a policy of its own: it "
                f"must allow {' and '.join(read_actions(settings))} on the staging bucket"
            )
        if settings.input_bucket:
            pulumi.log.warn(
                f"endpoints read inputBucket through {each.id}, which has a policy of its own: it must "
                f"allow s3:GetObject on {settings.input_bucket}"
            )
    ids = {each.id for each in used}
    return ExistingNetwork(
        settings.vpc_id,
        subnets,
        tuple(dict.fromkeys(each.route_table_id for each in subnets if each.route_table_id not in with_s3)),
        next((way.destination for each in subnets for way in each.routes if way.target in ids), None),
        _existing(file_system) if file_system else None,
    )


def _existing(found: FileSystem) -> ExistingFileSystem:
    theirs = {each.zone: each.security_group_ids[0] for each in found.mount_targets if not each.own}
    return ExistingFileSystem(found.id, found.arn, theirs)


def mistakes_in(found: FoundNetwork, settings: Settings, region: str) -> Iterator[str]:
    """A line for each thing that AWS would refuse later, or that would hang at the first request."""
    yield from _of_vpc(found.vpc, settings, region)
    known = {each.id for each in found.subnets}
    for subnet_id in settings.subnet_ids:
        if subnet_id not in known:
            yield f"subnetIds has {subnet_id}; there is no such subnet in {region} of this account"
    zones: dict[str, list[str]] = defaultdict(list)
    for subnet in found.subnets:
        zones[subnet.zone].append(subnet.id)
        if subnet.vpc_id != settings.vpc_id:
            yield f"subnetIds has {subnet.id}, which is in {subnet.vpc_id}; must be in {settings.vpc_id}"
        elif subnet.zone not in found.zones:
            yield (
                f"subnetIds has {subnet.id} in {subnet.zone}, where neither EFS nor Lambda is; must be in "
                f"{', '.join(sorted(found.zones))}"
            )
        else:
            yield from _of_way(subnet, settings.egress)
    for zone, ids in zones.items():
        if len(ids) > 1:
            # https://docs.aws.amazon.com/efs/latest/ug/manage-fs-access-create-delete-mount-targets.html
            yield (
                f"subnetIds has {' and '.join(ids)} in {zone}; must be one for each zone, in which a file "
                "system has one mount target"
            )
    if settings.file_system_id:
        yield from _of_file_system(found, settings, region)


def _of_vpc(vpc: Vpc | None, settings: Settings, region: str) -> Iterator[str]:
    if vpc is None:
        yield f"vpcId is {settings.vpc_id}; there is no such VPC in {region} of this account"
        return
    # https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-dns-name.html,
    # https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
    for name, option, value in (
        ("enableDnsSupport", "--enable-dns-support", vpc.dns_support),
        ("enableDnsHostnames", "--enable-dns-hostnames", vpc.dns_hostnames),
    ):
        if not value:
            yield (
                f"{vpc.id} has {name} off, without which names are not found; must be on: aws ec2 "
                f"modify-vpc-attribute --vpc-id {vpc.id} {option}"
            )
    if vpc.dedicated:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        yield f"{vpc.id} has dedicated tenancy, which Lambda does not connect to; must be another VPC"


def _of_way(subnet: Subnet, egress: str) -> Iterator[str]:
    """What keeps the warm-up in this subnet from the Hub; where models are staged it needs no way."""
    if egress in STAGED:
        return
    ipv6 = egress == "ipv6"
    destination = "::/0" if ipv6 else "0.0.0.0/0"
    where = f"{subnet.id} (route table {subnet.route_table_id})"
    wanted = "an egress-only internet gateway" if ipv6 else "a NAT gateway"
    instead = f"must lead to {wanted}, or egress be {'nat' if ipv6 else 'ipv6'}, relay or none"
    route = subnet.route(destination)
    if ipv6 and not subnet.ipv6:
        yield f"{subnet.id} has no block of IPv6 addresses with egress ipv6; must have one"
    if route is None:
        yield f"{where} has no route for {destination} with egress {egress}; {instead}"
    elif not route.active:
        yield f"{where} sends {destination} to {route.target}, which is gone; {instead}"
    elif route.target.startswith("igw-") and not ipv6:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
        yield (
            f"{where} sends {destination} to {route.target}: functions have no public address, so it answers "
            f"nobody; {instead}"
        )


def _of_file_system(found: FoundNetwork, settings: Settings, region: str) -> Iterator[str]:
    file_system = found.file_system
    if file_system is None:
        yield (
            f"fileSystemId is {settings.file_system_id}; there is no such file system in {region} of this "
            "account"
        )
        return
    if not file_system.available:
        yield f"{file_system.id} is not available yet; must be, to get an access point"
    if settings.allow_remote_code and not file_system.policy:
        yield (
            f"{file_system.id} has no policy with allowRemoteCode true: code of a model could write what "
            "others load; must have one, or allowRemoteCode be false"
        )
    # "You can use a file system only in one VPC at a time":
    # https://docs.aws.amazon.com/efs/latest/ug/manage-fs-access-create-delete-mount-targets.html
    for vpc_id in sorted({each.vpc_id for each in file_system.mount_targets} - {settings.vpc_id}):
        yield f"{file_system.id} has its mount targets in {vpc_id}; must be in {settings.vpc_id}"
    if file_system.zone and {each.zone for each in found.subnets} - {file_system.zone}:
        yield (
            f"{file_system.id} is in {file_system.zone} alone (One Zone); subnetIds must have one subnet, "
            "in that zone"
        )


def read_network(account: Account, settings: Settings) -> FoundNetwork:
    """What AWS says of the network. Raises RunError where it cannot be asked."""
    try:
        return _Reader(account, settings).read()
    except (ClientError, BotoCoreError) as error:
        raise pulumi.RunError(f"AWS cannot be asked for {settings.vpc_id}: {error}") from error


class _Reader:
    """Asks by filters, which answer with what there is: a wrong id would be an error that hides the next."""

    def __init__(self, account: Account, settings: Settings) -> None:
        self._account, self._settings = account, settings
        self._ec2, self._efs = account.client("ec2"), account.client("efs")

    def read(self) -> FoundNetwork:
        zones = self._ec2.describe_availability_zones(
            Filters=[_filter("opt-in-status", "opt-in-not-required")]
        )["AvailabilityZones"]
        return FoundNetwork(
            self._vpc(),
            tuple(self._subnets()),
            frozenset(each["ZoneName"] for each in zones),
            tuple(self._s3_endpoints()),
            self._file_system() if self._settings.file_system_id else None,
        )

    def _vpc(self) -> Vpc | None:
        vpc_id = self._settings.vpc_id
        found = self._ec2.describe_vpcs(Filters=[_filter("vpc-id", vpc_id)])["Vpcs"]
        if not found:
            return None

        def attribute(name: str, key: str) -> bool:
            said = self._ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)
            return bool(said[key]["Value"])

        return Vpc(
            vpc_id,
            attribute("enableDnsSupport", "EnableDnsSupport"),
            attribute("enableDnsHostnames", "EnableDnsHostnames"),
            found[0].get("InstanceTenancy") == "dedicated",
        )

    def _subnets(self) -> Iterator[Subnet]:
        found = self._all("describe_subnets", "Subnets", _filter("subnet-id", *self._settings.subnet_ids))
        tables: dict[str, dict[str, Json]] = {}
        """By subnet, and the main one by VPC."""
        vpcs = sorted({each["VpcId"] for each in found})
        for table in (
            self._all("describe_route_tables", "RouteTables", _filter("vpc-id", *vpcs)) if vpcs else ()
        ):
            for each in table["Associations"]:
                tables[table["VpcId"] if each.get("Main") else each.get("SubnetId", "")] = table
        for each in found:
            table = tables.get(each["SubnetId"]) or tables[each["VpcId"]]
            blocks = each.get("Ipv6CidrBlockAssociationSet", [])
            yield Subnet(
                each["SubnetId"],
                each["VpcId"],
                each["AvailabilityZone"],
                any(block["Ipv6CidrBlockState"]["State"] == "associated" for block in blocks),
                table["RouteTableId"],
                tuple(map(Route.from_json, table["Routes"])),
            )

    def _s3_endpoints(self) -> Iterator[GatewayEndpoint]:
        filters = (
            _filter("vpc-id", self._settings.vpc_id),
            _filter("service-name", s3_service(self._account)),
        )
        for each in self._all("describe_vpc_endpoints", "VpcEndpoints", *filters):
            # Also an interface endpoint is one of this service, and the deleted are shown for a while.
            if each["VpcEndpointType"] == "Gateway" and each["State"].lower() in ("available", "pending"):
                yield GatewayEndpoint(
                    each["VpcEndpointId"],
                    tuple(each["RouteTableIds"]),
                    own=_is_own(each, S3_ENDPOINT),
                    open='"Action":"*"' in "".join(each.get("PolicyDocument", "").split()),
                )

    def _file_system(self) -> FileSystem | None:
        file_system_id = self._settings.file_system_id
        try:
            (found,) = self._efs.describe_file_systems(FileSystemId=file_system_id)["FileSystems"]
        except self._efs.exceptions.FileSystemNotFound:
            return None
        try:
            policy = bool(self._efs.describe_file_system_policy(FileSystemId=file_system_id)["Policy"])
        except self._efs.exceptions.PolicyNotFound:
            policy = False
        return FileSystem(
            file_system_id,
            found["FileSystemArn"],
            found["LifeCycleState"] in ("available", "updating"),
            found.get("AvailabilityZoneName"),
            policy,
            tuple(self._mount_targets(file_system_id)),
        )

    def _mount_targets(self, file_system_id: str) -> Iterator[MountTarget]:
        pages = self._efs.get_paginator("describe_mount_targets").paginate(FileSystemId=file_system_id)
        for each in (each for page in pages for each in page["MountTargets"]):
            if each["LifeCycleState"] in ("deleting", "deleted"):
                continue
            target = each["MountTargetId"]
            groups = self._efs.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"]
            described = self._all("describe_security_groups", "SecurityGroups", _filter("group-id", *groups))
            yield MountTarget(
                each["VpcId"],
                each["AvailabilityZoneName"],
                tuple(sorted(groups)),
                own=any(_is_own(group, CACHE_GROUP) for group in described),
            )

    def _all(self, call: str, key: str, *filters: dict[str, Json]) -> list[dict[str, Json]]:
        pages: Iterable[dict[str, Json]] = self._ec2.get_paginator(call).paginate(Filters=[*filters])
        return [each for page in pages for each in page[key]]


def s3_service(account: Account) -> str:
    """The service of gateway endpoints to S3."""
    return f"com.amazonaws.{account.region}.s3"


def _filter(name: str, *values: str) -> dict[str, Json]:
    return {"Name": name, "Values": [*values]}


def _is_own(described: Mapping[str, Json], part: str) -> bool:
    return {"Key": "Name", "Value": name_tag(part)} in described.get("Tags", [])
