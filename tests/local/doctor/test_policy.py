"""The least policy: what the program registers and the code calls is allowed, nothing is beyond the stack."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hf_lambda.records import Json
from local.doctor.needs import Stack
from local.doctor.policy import (
    LARGEST,
    NOT_RECORDED,
    RECORDED,
    least_policy,
    read_recorded,
    size_of,
    types_lacking,
    unseen_actions,
)
from local.program.mock import Resource
from tests.engine.changes import CHANGES
from tests.infra.program import ROOT
from tests.local.doctor.conftest import stack_of
from tests.provider.actions import action_of, arn_formats, kinds_of

READ_ONLY = ("List", "Describe", "Get", "BatchGet", "View")
RECORDED_NOW = read_recorded()


def allowed(policy: Json) -> dict[str, list[str]]:
    """Action -> the resources that it is allowed for."""
    found: dict[str, list[str]] = {}
    for statement in policy["Statement"]:
        for action in _as_list(statement["Action"]):
            found.setdefault(action, []).extend(_as_list(statement["Resource"]))
    return found


def _as_list(value: Json) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def everything(dev: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack with every kind of resource that some setting makes."""
    keys = (
        *("functionUrl", "provisionedConcurrency", "allowRemoteCode", "hfToken", "monthlyBudgetUsd"),
        *("keepWarm", "async", "batch", "flowLogs", "deadLetters"),
    )
    given = {key: value for each in keys for key, value in CHANGES[each].keys(each).items()}
    given["kmsKeyArn"] = "new"
    found: list[Resource] = []
    for egress in ("nat", "relay", "ipv6"):
        folder = tmp_path_factory.mktemp(egress)
        found += stack_of(folder, {**given, "egress": egress}).resources
    return replace(dev, resources=[*dev.resources, *found])


@pytest.mark.slow
def test_every_type_of_resource_that_a_setting_makes_was_recorded(everything: Stack):
    types = {each.type for each in everything.resources if each.type.startswith("aws:")}
    assert types - RECORDED_NOW.actions.keys() == NOT_RECORDED.keys()


def test_a_type_that_was_not_recorded_is_told_and_stops_nothing(dev: Stack):
    later = replace(dev.resources[0], type="aws:dynamodb/table:Table")
    stack = replace(dev, resources=[*dev.resources, later])
    assert types_lacking(dev, RECORDED_NOW) == []
    assert types_lacking(stack, RECORDED_NOW) == ["aws:dynamodb/table:Table"]
    assert allowed(least_policy(stack, RECORDED_NOW)) == allowed(least_policy(dev, RECORDED_NOW))


def test_types_that_no_setting_makes_are_not_kept(everything: Stack):
    assert RECORDED_NOW.actions.keys() - {each.type for each in everything.resources} == set()


def test_every_action_is_one_that_aws_lists_with_the_kinds_that_it_can_be_held_to():
    named = {action for actions in RECORDED_NOW.actions.values() for action in actions}
    named |= unseen_actions()
    assert named <= RECORDED_NOW.kinds.keys()
    assert {action: kinds_of(action) for action in RECORDED_NOW.kinds} == RECORDED_NOW.kinds


def test_a_call_that_no_policy_can_allow_is_no_action():
    assert action_of("S3", "HeadBucket") == "s3:ListBucket"
    assert action_of("CloudWatch Logs", "CreateLogGroup") == "logs:CreateLogGroup"
    with pytest.raises(KeyError, match="no action lambda:CreateFunctions"):
        action_of("Lambda", "CreateFunctions")


def test_a_stack_is_allowed_what_its_resources_take_and_nothing_of_others(dev: Stack, everything: Stack):
    mine, every = allowed(least_policy(dev, RECORDED_NOW)), allowed(least_policy(everything, RECORDED_NOW))
    assert {"lambda:CreateFunction", "ec2:CreateNatGateway", "ecr:PutImage", "iam:PassRole"} <= mine.keys()
    assert mine.keys() < every.keys()
    beyond = {action.partition(":")[0] for action in every.keys() - mine.keys()}
    assert {"s3", "sns", "budgets", "secretsmanager", "sqs", "scheduler", "states"} <= beyond


def test_what_changes_something_is_held_to_names_of_the_stack_where_they_have_one(everything: Stack):
    policy = allowed(least_policy(everything, RECORDED_NOW, "123456789012"))
    wide = {action for action, resources in policy.items() if "*" in resources}
    changing = {action for action in wide if not action.partition(":")[2].startswith(READ_ONLY)}
    # These are called by ids that AWS gives, or have none of ours.
    changing -= {"iam:CreateServiceLinkedRole", "states:ValidateStateMachineDefinition"}
    assert {action.partition(":")[0] for action in changing} <= {"ec2", "elasticfilesystem", "kms"}
    assert policy["lambda:CreateFunction"] == [
        "arn:aws:lambda:us-east-1:123456789012:function:hf-lambda-dev-*"
    ]
    assert "arn:aws:iam::123456789012:role/sentiment-*" in policy["iam:PassRole"]
    assert policy["s3:ListBucket"] == ["arn:aws:s3:::staging-*"]


def test_names_are_written_as_aws_writes_them(everything: Stack):
    forms = {form for action in RECORDED_NOW.kinds for form in arn_formats(action)}
    patterns = [_pattern(form) for form in forms]
    named = {arn for arns in allowed(least_policy(everything, RECORDED_NOW)).values() for arn in arns} - {"*"}
    assert len(named) > 10
    assert {arn for arn in named if not any(each.fullmatch(arn) for each in patterns)} == set()


def _pattern(form: str) -> re.Pattern[str]:
    """Of names such as `arn:${Partition}:s3:::.*`."""
    parts = re.split(r"(\$\{\w+\}|\.\*)", form)
    anything = {"${": "[^:]*", ".*": ".*"}
    return re.compile("".join(anything.get(each[:2], re.escape(each)) for each in parts))


def test_roles_are_passed_to_the_services_that_take_one_alone(dev: Stack, everything: Stack):
    passed = []
    for stack in (dev, everything):
        statements = least_policy(stack, RECORDED_NOW)["Statement"]
        (passing,) = (each for each in statements if each["Action"] == "iam:PassRole")
        passed.append(passing["Condition"]["StringEquals"]["iam:PassedToService"])
    every = [f"{service}.amazonaws.com" for service in ("lambda", "scheduler", "vpc-flow-logs", "states")]
    assert passed == ["lambda.amazonaws.com", every]


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")]
)
def test_arns_are_of_the_region_s_partition(dev: Stack, region: str, partition: str):
    there = replace(dev, access=replace(dev.access, region=region))
    (arn,) = allowed(least_policy(there, RECORDED_NOW))["lambda:CreateFunction"]
    assert arn.startswith(f"arn:{partition}:lambda:{region}:")


def test_a_network_that_is_there_is_looked_at_first(dev: Stack):
    within = replace(dev, resources=[each for each in dev.resources if each.type != "aws:ec2/vpc:Vpc"])
    assert "ec2:CreateVpc" not in allowed(least_policy(within, RECORDED_NOW))
    assert "ec2:DescribeVpcEndpoints" in allowed(least_policy(within, RECORDED_NOW))


def test_what_the_program_s_own_clients_call_is_allowed(everything: Stack):
    """By name, wherever infra/ writes it: `client.list_aliases(...)`, `get_paginator("list_aliases")`."""
    within = [each for each in everything.resources if each.type != "aws:ec2/vpc:Vpc"]
    names = {
        action.partition(":")[2].lower()
        for action in allowed(least_policy(replace(everything, resources=within), RECORDED_NOW))
    }
    called = {name for path in (ROOT / "infra").glob("*.py") for name in _calls(path)}
    assert {"list_aliases", "describe_route_tables", "batch_get_image"} <= called
    assert {name for name in called if name.replace("_", "") not in names} == set()


def _calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    words |= {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    verbs = r"(describe|list|batch_get|delete|put|update)_[a-z_]+|get_alias"
    own = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    return {word for word in words if re.fullmatch(verbs, word)} - own


def test_a_default_stack_s_policy_is_no_larger_than_one_may_be(dev: Stack, everything: Stack):
    assert size_of(least_policy(dev, RECORDED_NOW, "123456789012")) <= LARGEST
    assert RECORDED.read_text().endswith("}\n")
