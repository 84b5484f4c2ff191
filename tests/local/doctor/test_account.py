"""Each limit that a deployment meets, and what is said where there is no room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hf_lambda.records import Json
from local.doctor.account import check_credentials, check_limits, check_region
from local.doctor.needs import Stack
from local.doctor.report import Check, Status
from tests.local.doctor.conftest import REFUSED, Account, with_access
from tests.local.doctor.test_machine import says

SETTINGS = "lambda.GetAccountSettings"
QUOTAS = "service-quotas.ListServiceQuotas"
DEFAULTS = "service-quotas.ListAWSDefaultServiceQuotas"
OWN = [{"Key": "project", "Value": "hf-lambda"}, {"Key": "stack", "Value": "dev"}]


def quotas(**limits: float) -> Json:
    return {
        "Quotas": [
            {"QuotaCode": name, "QuotaName": name.replace("_", " "), "Value": value}
            for name, value in limits.items()
        ]
    }


def concurrency(every: int, free: int) -> Json:
    return {"AccountLimit": {"ConcurrentExecutions": every, "UnreservedConcurrentExecutions": free}}


ROOM: dict[str, Json] = {
    SETTINGS: concurrency(1000, 1000),
    "lambda.ListFunctions": {"Functions": []},
    DEFAULTS: quotas(VPCs_per_Region=5, NAT_gateways_per_Availability_Zone=5),
    QUOTAS: {"Quotas": []},
    "ec2.DescribeVpcs": {"Vpcs": [{}]},
    "ec2.DescribeAddresses": {"Addresses": []},
    "ec2.DescribeAccountAttributes": {
        "AccountAttributes": [
            {"AttributeName": "vpc-max-elastic-ips", "AttributeValues": [{"AttributeValue": "5"}]}
        ]
    },
    "ec2.DescribeNatGateways": {"NatGateways": []},
    "ec2.DescribeSubnets": {"Subnets": [{"SubnetId": "a", "AvailabilityZone": "us-east-1a"}]},
}


@pytest.fixture
def limits(dev: Stack, account: Account):
    def check(stack: Stack = dev, **changed: Json) -> dict[str, Check]:
        answers = {**ROOM, **{key.replace("__", "."): value for key, value in changed.items()}}
        return {each.name: each for each in check_limits(with_access(stack, account(answers)))}

    return check


def kept(dev: Stack, reserved: int, provisioned: int) -> Stack:
    """With both functions of endpoints like that."""
    kinds = {
        "aws:lambda/function:Function": {"reservedConcurrentExecutions": reserved},
        "aws:lambda/alias:Alias": {"provisionedConcurrentExecutions": provisioned},
    }
    changed = [
        replace(
            each,
            type=each.type.replace(
                "alias:Alias", "provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
            ),
            inputs={**each.inputs, **kinds.get(each.type, {})},
        )
        for each in dev.resources
        if not each.name.endswith("warmup")
    ]
    return replace(dev, resources=changed)


def test_an_account_with_room_is_well(limits):
    found = limits()
    assert {name: check.status for name, check in found.items()} == dict.fromkeys(
        ("concurrency", "memory", "VPCs", "elastic IPs", "NAT gateways"), Status.OK
    )


def test_reservations_must_leave_a_hundred(dev, limits):
    says(limits(kept(dev, 400, 0))["concurrency"], Status.OK)
    check = limits(kept(dev, 451, 0))["concurrency"]
    says(check, Status.FAILED, "reserves or keeps 902", "100 must stay", "warmupConcurrency -1")
    says(limits(kept(dev, -1, 451))["concurrency"], Status.FAILED, "902")
    says(limits(kept(dev, 5, 3))["concurrency"], Status.OK)


def test_what_a_deployed_stack_reserves_is_counted_already(dev, limits):
    there = {"Functions": [{"FunctionName": "hf-lambda-dev-warmup-1a2b3c4"}]}
    check = limits(
        kept(dev, 450, 0), lambda__GetAccountSettings=concurrency(1000, 100), lambda__ListFunctions=there
    )
    says(check["concurrency"], Status.OK)


def test_a_new_account_s_concurrency_is_told(limits):
    check = limits(lambda__GetAccountSettings=concurrency(10, 10))["concurrency"]
    says(check, Status.WARNING, "10 executions at once", "Service Quotas, AWS Lambda")


def test_memory_over_the_account_s_is_refused_before_aws_does(dev, limits):
    listed = {QUOTAS.replace(".", "__"): quotas(Function_memory=3008)}
    functions = [
        replace(each, inputs={**each.inputs, "memorySize": 4096})
        if each.type == "aws:lambda/function:Function"
        else each
        for each in dev.resources
    ]
    large = replace(dev, resources=functions)
    says(limits(large, **listed)["memory"], Status.FAILED, "is 3008 MB", "4096 MB", "memoryMb")
    says(limits(dev, **listed)["memory"], Status.OK)
    says(limits(large)["memory"], Status.WARNING, "may be held to 3008 MB", "support")


@pytest.mark.parametrize(
    ("name", "answer", "parts"),
    [
        ("VPCs", {"ec2__DescribeVpcs": {"Vpcs": [{}] * 5}}, ("5 of 5 VPCs", "1 more", "vpcId")),
        (
            "elastic IPs",
            {"ec2__DescribeAddresses": {"Addresses": [{}] * 5}},
            ("5 of 5 elastic IP", "egress relay"),
        ),
        (
            "NAT gateways",
            {"ec2__DescribeNatGateways": {"NatGateways": [{"SubnetId": "a", "State": "available"}] * 5}},
            ("5 of 5 NAT gateways in the fullest zone", "egress relay"),
        ),
    ],
)
def test_a_limit_without_room_is_named_with_what_to_do(limits, name, answer, parts):
    says(limits(**answer)[name], Status.FAILED, *parts, "Service Quotas")
    (key,) = answer
    ((kind, found),) = answer[key].items()
    own = {key: {kind: [*found[1:], {**found[0], "Tags": OWN}]}}
    says(limits(**own)[name], Status.OK, "0 more")


def test_gateways_that_are_gone_count_for_nothing(limits):
    gone = {"NatGateways": [{"SubnetId": "a", "State": "deleted"}] * 5}
    says(limits(ec2__DescribeNatGateways=gone)["NAT gateways"], Status.OK, "0 of 5")


def test_what_the_account_was_given_goes_before_the_default(limits):
    raised = {QUOTAS.replace(".", "__"): quotas(VPCs_per_Region=50)}
    says(limits(ec2__DescribeVpcs={"Vpcs": [{}] * 5}, **raised)["VPCs"], Status.OK, "5 of 50")


def test_a_limit_that_may_not_be_read_stops_nobody(limits):
    refused = dict.fromkeys((key.replace(".", "__") for key in ROOM), REFUSED)
    found = limits(**refused)
    assert {check.status for check in found.values()} == {Status.WARNING}
    says(found["concurrency"], Status.WARNING, "AccessDenied", "lambda:GetAccountSettings is needed")
    unnamed = limits(**{DEFAULTS.replace(".", "__"): {"Quotas": []}})
    says(unnamed["VPCs"], Status.WARNING, "lists no 'VPCs per Region'")


def test_a_stack_that_needs_no_gateway_is_not_held_to_its_limits(dev, limits):
    network = ("aws:ec2/vpc", "aws:ec2/eip", "aws:ec2/natGateway")
    within = replace(dev, resources=[each for each in dev.resources if not each.type.startswith(network)])
    assert set(limits(within)) == {"concurrency", "memory"}


def test_without_credentials_it_says_how_to_sign_in(account):
    says(check_credentials(account({})), Status.FAILED, "no usable AWS credentials", "aws configure sso")


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("ExpiredToken", ("ExpiredToken", "Sign in again")),
        ("InvalidClientTokenId", ("Sign in again", "opted into", "us-east-1")),
        ("Throttling", ("AWS does not answer", "Throttling", "whether us-east-1 is a region")),
    ],
)
def test_credentials_that_aws_refuses_are_told_from_an_aws_that_does_not_answer(account, code, parts):
    refusal = {"Error": {"Code": code, "Message": "no"}}
    says(check_credentials(account({"sts.GetCallerIdentity": refusal})), Status.FAILED, *parts)


def test_who_asks_is_shown(account):
    arn = "arn:aws:iam::123456789012:user/me"
    says(check_credentials(account({"sts.GetCallerIdentity": {"Arn": arn}})), Status.OK, arn)


def test_a_region_must_have_the_zones_that_the_stack_is_set_to(account):
    def zones(count: int) -> Json:
        return {"ec2.DescribeAvailabilityZones": {"AvailabilityZones": [{}] * count}}

    says(check_region(account(zones(3)), 2), Status.OK, "us-east-1, 3")
    says(check_region(account(zones(1)), 2), Status.FAILED, "azCount is 2", "pulumi config set azCount 1")
    refused = account({"ec2.DescribeAvailabilityZones": REFUSED})
    says(check_region(refused, 2), Status.WARNING, "ec2:DescribeAvailabilityZones is needed")
