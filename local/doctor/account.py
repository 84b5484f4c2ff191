"""Checks of the account in AWS: who asks, the region, and whether the limits have room for the stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.records import Json
from local.doctor.needs import Stack
from local.doctor.report import Check, failed, ok, warning
from warmup.cli.access import Access, Client
from warmup.protocol.errors import WarmupError

UNRESERVED = 100
"""Executions that functions without a reservation keep between them: Lambda lets nobody reserve these.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
MOST_MEMORY_MB = 10_240
NEW_ACCOUNT_MB = 3008
_ASK = "ask for more in the console under Service Quotas, or"


def check_credentials(access: Access) -> Check:
    name = "AWS credentials"
    try:
        said = access.client("sts").get_caller_identity()
    except WarmupError as error:
        found, _, fix = str(error).partition(". ")
        return failed(name, found, fix or "see `aws:` in the stack's config")
    except (BotoCoreError, ClientError) as error:
        problem = access.problem(error)
        if problem is not None:
            found, _, fix = str(problem).partition(". ")
            if "InvalidClientTokenId" in found:
                fix += (
                    f"; a region that the account has not opted into answers so too: is it {access.region}?"
                )
            return failed(name, found, fix)
        return failed(
            name,
            f"AWS does not answer: {_worded(error)}",
            f"see whether this machine reaches AWS, and whether {access.region} is a region",
        )
    return ok(name, f"{said['Arn']}{f' (profile {access.profile})' if access.profile else ''}")


def check_region(access: Access, zones: int) -> Check:
    """Whether the region is one, and has zones for the stack."""
    name = "region"
    try:
        found = access.client("ec2").describe_availability_zones(
            Filters=[
                {"Name": "zone-type", "Values": ["availability-zone"]},
                {"Name": "state", "Values": ["available"]},
            ]
        )["AvailabilityZones"]
    except (BotoCoreError, ClientError, WarmupError) as error:
        return _unasked(name, error, "ec2:DescribeAvailabilityZones", f"region {access.region}")
    if len(found) < zones:
        return failed(
            name,
            f"{access.region} has {len(found)} availability zones for you, and azCount is {zones}",
            f"pulumi config set azCount {len(found)}",
        )
    return ok(name, f"{access.region}, {len(found)} availability zones, of which the stack uses {zones}")


@dataclass(frozen=True)
class _Room:
    """How much of something an account may have, has, and needs more."""

    name: str
    what: str
    limit: float
    used: int
    more: int
    instead: str
    """What to do but ask for more."""

    def check(self) -> Check:
        said = f"{self.used} of {self.limit:g} {self.what} are there, the stack needs {self.more} more"
        if self.used + self.more > self.limit:
            return failed(self.name, said, f"{_ASK} {self.instead}")
        return ok(self.name, said)


_Clients = Callable[[str], Client]


def check_limits(stack: Stack) -> Iterator[Check]:
    """One for each limit that a deployment can meet half-way."""
    client: _Clients = cache(stack.access.client)
    yield from _guarded("concurrency", "lambda:GetAccountSettings", stack, client, _concurrency)
    yield from _guarded("memory", "servicequotas:ListServiceQuotas", stack, client, _memory)
    yield from _guarded("VPCs", "ec2:DescribeVpcs and servicequotas:ListServiceQuotas", stack, client, _vpcs)
    yield from _guarded(
        "elastic IPs", "ec2:DescribeAddresses and ec2:DescribeAccountAttributes", stack, client, _addresses
    )
    yield from _guarded(
        "NAT gateways",
        "ec2:DescribeNatGateways and servicequotas:ListServiceQuotas",
        stack,
        client,
        _gateways,
    )


def _guarded(
    name: str,
    action: str,
    stack: Stack,
    client: _Clients,
    check: Callable[[Stack, _Clients], Iterable[Check]],
) -> Iterator[Check]:
    try:
        yield from check(stack, client)
    except (BotoCoreError, ClientError, WarmupError, _UnknownQuotaError) as error:
        yield _unasked(name, error, action, "this limit")


def _concurrency(stack: Stack, client: _Clients) -> Iterator[Check]:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AccountLimit.html"""
    limit = client("lambda").get_account_settings()["AccountLimit"]
    every, free = int(limit["ConcurrentExecutions"]), int(limit["UnreservedConcurrentExecutions"])
    wanted = stack.reserved + stack.provisioned
    said = f"{every} executions at once in this account, {free} of them not reserved"
    if wanted and free - wanted < UNRESERVED and not _is_deployed(stack, client):
        yield failed(
            "concurrency",
            f"{said}; the stack reserves or keeps {wanted}, and {UNRESERVED} must stay unreserved",
            f"{_ASK} set reservedConcurrency and warmupConcurrency -1, and provisionedConcurrency 0",
        )
    elif every < UNRESERVED:
        yield warning(
            "concurrency",
            f"{said}: so many requests are answered at once, of all functions together",
            "ask for more in the console under Service Quotas, AWS Lambda, Concurrent executions",
        )
    else:
        yield ok("concurrency", said)


def _memory(stack: Stack, client: _Clients) -> Iterator[Check]:
    """New accounts may have less than others, and no call says how much.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    wanted = stack.largest_mb
    listed = [each for each in _quotas(client, "lambda") if "memory" in each["QuotaName"].lower()]
    if listed and min(each["Value"] for each in listed) < wanted:
        smallest = min(listed, key=lambda each: float(each["Value"]))
        yield failed(
            "memory",
            f"{smallest['QuotaName']} is {smallest['Value']:g} MB, and the largest function has {wanted} MB",
            f"{_ASK} set memoryMb and warmupMemoryMb to at most {smallest['Value']:g}",
        )
    elif listed or wanted <= NEW_ACCOUNT_MB:
        yield ok("memory", f"{wanted} MB for the largest function")
    else:
        yield warning(
            "memory",
            f"{wanted} MB for the largest function; new accounts may be held to {NEW_ACCOUNT_MB} MB, and AWS "
            "says so only when the function is made",
            f"if it does: ask its support for {MOST_MEMORY_MB} MB, or set memoryMb and warmupMemoryMb",
        )


def _vpcs(stack: Stack, client: _Clients) -> Iterator[Check]:
    if not (needed := stack.count("aws:ec2/vpc:Vpc")):
        return
    found = _pages(client, "describe_vpcs", "Vpcs")
    limit = _quota(client, "vpc", "VPCs per Region")
    own = len([each for each in found if _is_own(stack, each)])
    instead = "delete one that is not needed, or deploy into one that is there (vpcId and subnetIds)"
    yield _Room("VPCs", "VPCs", limit, len(found), max(needed - own, 0), instead).check()


def _addresses(stack: Stack, client: _Clients) -> Iterator[Check]:
    """The limit is an attribute of the account: vpc-max-elastic-ips.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAccountAttributes.html
    """
    if not (needed := stack.count("aws:ec2/eip:Eip")):
        return
    name = "vpc-max-elastic-ips"
    (attribute,) = client("ec2").describe_account_attributes(AttributeNames=[name])["AccountAttributes"]
    limit = int(attribute["AttributeValues"][0]["AttributeValue"])
    found = client("ec2").describe_addresses()["Addresses"]
    own = len([each for each in found if _is_own(stack, each)])
    instead = "release one that is not used, or set egress relay, which needs none"
    yield _Room(
        "elastic IPs", "elastic IP addresses", limit, len(found), max(needed - own, 0), instead
    ).check()


def _gateways(stack: Stack, client: _Clients) -> Iterator[Check]:
    """The limit is of a zone. The fullest is compared: which the stack gets, AWS says when it is deployed."""
    if not (needed := stack.count("aws:ec2/natGateway:NatGateway")):
        return
    found = [
        each
        for each in _pages(client, "describe_nat_gateways", "NatGateways")
        if each["State"] in ("pending", "available")
    ]
    own = len([each for each in found if _is_own(stack, each)])
    subnets = {
        each["SubnetId"]: each["AvailabilityZone"] for each in _pages(client, "describe_subnets", "Subnets")
    }
    zones = [subnets.get(each["SubnetId"], "") for each in found]
    fullest = max(map(zones.count, zones), default=0)
    limit = _quota(client, "vpc", "NAT gateways per Availability Zone")
    instead = "delete one that is not needed, set zones to others, or set egress relay, which needs none"
    more = 1 if needed > own else 0
    yield _Room("NAT gateways", "NAT gateways in the fullest zone", limit, fullest, more, instead).check()


def _quota(client: _Clients, service: str, name: str) -> float:
    """By name, as https://docs.aws.amazon.com/general/latest/gr/vpc-service.html lists them."""
    for each in _quotas(client, service):
        if each["QuotaName"] == name:
            return float(each["Value"])
    raise _UnknownQuotaError(f"Service Quotas lists no {name!r} of {service}")


class _UnknownQuotaError(Exception):
    pass


def _quotas(client: _Clients, service: str) -> list[dict[str, Json]]:
    """What applies to the account; what it does not say anything about has AWS's default.

    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
    """
    found: dict[str, dict[str, Json]] = {}
    for call in ("list_aws_default_service_quotas", "list_service_quotas"):
        for page in client("service-quotas").get_paginator(call).paginate(ServiceCode=service):
            found |= {each["QuotaCode"]: each for each in page["Quotas"] if "Value" in each}
    return list(found.values())


def _pages(client: _Clients, call: str, key: str) -> list[dict[str, Json]]:
    return [each for page in client("ec2").get_paginator(call).paginate() for each in page[key]]


def _is_own(stack: Stack, each: dict[str, Json]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in each.get("Tags", [])}
    return (tags.get("project"), tags.get("stack")) == (stack.project, stack.name)


def _is_deployed(stack: Stack, client: _Clients) -> bool:
    """Then what it reserves is counted already."""
    name = f"{stack.project}-{stack.name}-warmup"
    pages = client("lambda").get_paginator("list_functions").paginate()
    return any(each["FunctionName"].startswith(name) for page in pages for each in page["Functions"])


def _unasked(name: str, error: Exception, action: str, what: str) -> Check:
    """A limit that may not be read is no reason to stop."""
    return warning(name, f"{what} cannot be looked up: {_worded(error)}", f"{action} is needed to look")


def _worded(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"
    return str(error)
