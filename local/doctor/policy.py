"""The least IAM policy that deploys a stack: what the real provider called for each type of resource."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_lambda.records import Json
from local.doctor.needs import Stack
from warmup.protocol.records import Record

RECORDED = Path(__file__).with_name("actions.json")
LARGEST = 6144
"""Characters of a managed policy, white space aside.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True)
class Recorded(Record):
    """What `python -m tests.provider.actions` recorded."""

    provider: str
    """Version of the AWS provider that was recorded."""
    actions: Mapping[str, tuple[str, ...]]
    """Type of a resource -> the actions that creating, reading, changing and deleting it takes."""
    kinds: Mapping[str, tuple[str, ...]]
    """Action -> the kinds of ARN that a policy can hold it to; empty where it is for every resource."""


@dataclass(frozen=True)
class Unseen:
    """Actions that no call of the provider shows, for stacks that have a resource of one of `types`."""

    types: tuple[str, ...]
    actions: tuple[str, ...]
    source: str


FUNCTION = "aws:lambda/function:Function"
UNSEEN = (
    Unseen(
        ("docker:index/image:Image",),
        (
            *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"),
            *("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"),
        ),
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html; infra/registry.py looks "
        "at what was pushed",
    ),
    Unseen(
        (FUNCTION,),
        (
            *("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            *("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"),
        ),
        "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html: Amazon ECR permissions",
    ),
    Unseen(
        (FUNCTION,),
        (
            *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
            "ec2:GetSecurityGroupsForVpc",
        ),
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html: required IAM permissions",
    ),
    Unseen(
        (FUNCTION,),
        ("elasticfilesystem:DescribeMountTargets",),
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html: user permissions",
    ),
    Unseen(
        (FUNCTION,),
        (
            *("lambda:ListVersionsByFunction", "lambda:ListAliases", "lambda:GetAlias"),
            *("lambda:DeleteFunction", "lambda:InvokeFunction", "lambda:GetFunctionConcurrency"),
        ),
        "infra/hooks.py deletes old versions; the warm-up and the hook of warmOnDeploy invoke functions",
    ),
    Unseen(
        ("aws:efs/mountTarget:MountTarget",),
        (
            *("ec2:DescribeSubnets", "ec2:DescribeNetworkInterfaces", "ec2:CreateNetworkInterface"),
            *("ec2:DeleteNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"),
        ),
        "botocore's words on CreateMountTarget, DeleteMountTarget and ModifyMountTargetSecurityGroups of EFS",
    ),
    Unseen(
        ("aws:ec2/subnet:Subnet",),
        ("ec2:DescribeAvailabilityZones",),
        "infra/network.py asks for the zones of the region",
    ),
)
NOT_RECORDED = {
    "aws:sqs/queue:Queue": (
        *("sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
        *("sqs:ListQueueTags", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"),
    ),
    "aws:ec2/flowLog:FlowLog": (
        *("ec2:CreateFlowLogs", "ec2:DeleteFlowLogs", "ec2:DescribeFlowLogs"),
        *("ec2:CreateTags", "ec2:DeleteTags"),
    ),
    "aws:kms/key:Key": (
        *("kms:CreateKey", "kms:DescribeKey", "kms:ScheduleKeyDeletion", "kms:UpdateKeyDescription"),
        *("kms:EnableKey", "kms:DisableKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"),
        *("kms:GetKeyRotationStatus", "kms:EnableKeyRotation", "kms:DisableKeyRotation"),
        *("kms:ListResourceTags", "kms:TagResource", "kms:UntagResource"),
        # Whoever has a service store something under a key needs these on it, as ECR, EFS, Lambda and
        # Secrets Manager say: https://docs.aws.amazon.com/kms/latest/developerguide/services-ecr.html
        *("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"),
    ),
    "aws:sfn/stateMachine:StateMachine": (
        *("states:CreateStateMachine", "states:DeleteStateMachine", "states:DescribeStateMachine"),
        *("states:UpdateStateMachine", "states:ListStateMachineVersions", "states:ListTagsForResource"),
        *("states:TagResource", "states:UntagResource", "states:ValidateStateMachineDefinition"),
    ),
    "aws:scheduler/schedule:Schedule": (
        *("scheduler:CreateSchedule", "scheduler:DeleteSchedule"),
        *("scheduler:GetSchedule", "scheduler:UpdateSchedule"),
    ),
}
"""Types that the recording does not make: every action that AWS lists for managing one."""
EXISTING_NETWORK = (
    *("ec2:DescribeAvailabilityZones", "ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"),
    *("ec2:DescribeSubnets", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups"),
    "ec2:DescribeVpcEndpoints",
    *("elasticfilesystem:DescribeFileSystems", "elasticfilesystem:DescribeFileSystemPolicy"),
    *("elasticfilesystem:DescribeMountTargets", "elasticfilesystem:DescribeMountTargetSecurityGroups"),
)
"""What infra/existing_network.py looks at before it deploys into one."""
STAGING = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
"""What warmup/cli/upload.py does with `egress: none`, where the command downloads."""
SERVICE_LINKED = "elasticfilesystem.amazonaws.com"
"""The role that EFS makes for itself with an account's first file system.
https://docs.aws.amazon.com/efs/latest/ug/using-service-linked-roles.html"""


def unseen_actions() -> set[str]:
    """Every action that no recording shows."""
    more = [each.actions for each in UNSEEN] + [*NOT_RECORDED.values()]
    return {*EXISTING_NETWORK, *STAGING, *(action for actions in more for action in actions)}


def read_recorded() -> Recorded:
    return Recorded.from_json(json.loads(RECORDED.read_text()))


def least_policy(stack: Stack, recorded: Recorded, account: str = "*") -> dict[str, Json]:
    """`account`: the id, where it is known."""
    arns = _arns(stack, account)
    by_resources: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for action in _actions(stack, recorded):
        by_resources[_resources(action, recorded.kinds.get(action, ()), arns)].add(action)
    statements: list[Json] = [
        {"Effect": "Allow", "Action": sorted(actions), "Resource": _one_or_list(resources)}
        for resources, actions in sorted(by_resources.items())
    ]
    statements.append(
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": _one_or_list(arns["iam", "role"]),
            "Condition": {"StringEquals": {"iam:PassedToService": _one_or_list(_passed_to(stack))}},
        }
    )
    if stack.count("aws:efs/fileSystem:FileSystem"):
        statements.append(
            {
                "Effect": "Allow",
                "Action": "iam:CreateServiceLinkedRole",
                "Resource": "*",
                "Condition": {"StringEquals": {"iam:AWSServiceName": SERVICE_LINKED}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _passed_to(stack: Stack) -> list[str]:
    services = {FUNCTION: "lambda", "aws:scheduler/schedule:Schedule": "scheduler"}
    services |= {"aws:ec2/flowLog:FlowLog": "vpc-flow-logs", "aws:sfn/stateMachine:StateMachine": "states"}
    return [f"{name}.amazonaws.com" for type_, name in services.items() if stack.count(type_)]


def types_lacking(stack: Stack, recorded: Recorded) -> list[str]:
    """Types of resources of `stack` that the policy knows nothing of."""
    types = {each.type for each in stack.resources if each.type.startswith("aws:")}
    return sorted(types - recorded.actions.keys() - NOT_RECORDED.keys())


def size_of(policy: Mapping[str, Json]) -> int:
    """As IAM counts it."""
    return len(json.dumps(policy, separators=(",", ":")))


def _actions(stack: Stack, recorded: Recorded) -> set[str]:
    types = {each.type for each in stack.resources}
    known = {**NOT_RECORDED, **recorded.actions}
    found = {action for type_ in types if type_.startswith("aws:") for action in known.get(type_, ())}
    for unseen in UNSEEN:
        found |= set(unseen.actions) if types & set(unseen.types) else set()
    if "aws:ec2/vpc:Vpc" not in types and "aws:efs/accessPoint:AccessPoint" in types:
        found |= set(EXISTING_NETWORK)
    has_relay = any(each.name.endswith("-relay") for each in stack.of_type(FUNCTION))
    if "aws:s3/bucket:Bucket" in types and not has_relay:
        found |= set(STAGING)
    return found


def _resources(
    action: str, kinds: Iterable[str], arns: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[str, ...]:
    """What the policy holds `action` to.

    What lists and describes is for everything: AWS checks some of that against no one's name, such as
    logs:DescribeLogGroups. What is in a bucket, only the bucket's.
    """
    service, _, name = action.partition(":")
    if name.startswith(("List", "Describe")) and service != "s3":
        return ("*",)
    return tuple(sorted({arn for kind in kinds for arn in arns.get((service, kind), ())})) or ("*",)


def _arns(stack: Stack, account: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """(service, kind) -> what a stack's own of that kind are called. What has no name of ours is any."""
    prefix, region = f"{stack.project}-{stack.name}", stack.access.region
    partition = _partition(region)

    def named(type_: str, form: str) -> tuple[str, ...]:
        names = {_pattern(each.name, prefix) for each in stack.of_type(type_)}
        return tuple(f"arn:{partition}:{form.format(name)}" for name in sorted(names))

    here = f"{region}:{account}"
    functions = (f"arn:{partition}:lambda:{here}:function:{prefix}-*",)
    return {
        **{("lambda", kind): functions for kind in ("function", "function alias", "function version")},
        ("logs", "log-group"): (f"arn:{partition}:logs:{here}:log-group:/aws/lambda/{prefix}-*",),
        ("ecr", "repository"): (f"arn:{partition}:ecr:{here}:repository/{prefix.lower()}",),
        ("iam", "role"): named("aws:iam/role:Role", f"iam::{account}:role/{{}}"),
        ("s3", "bucket"): named("aws:s3/bucket:Bucket", "s3:::{}"),
        ("s3", "object"): named("aws:s3/bucket:Bucket", "s3:::{}/*"),
        ("sqs", "queue"): named("aws:sqs/queue:Queue", f"sqs:{here}:{{}}"),
        ("scheduler", "schedule"): named(
            "aws:scheduler/schedule:Schedule", f"scheduler:{here}:schedule/default/{{}}"
        ),
        ("states", "statemachine"): named(
            "aws:sfn/stateMachine:StateMachine", f"states:{here}:stateMachine:{{}}"
        ),
        ("sns", "topic"): named("aws:sns/topic:Topic", f"sns:{here}:{{}}"),
        ("secretsmanager", "Secret"): named(
            "aws:secretsmanager/secret:Secret", f"secretsmanager:{here}:secret:{{}}"
        ),
        ("cloudwatch", "alarm"): named(
            "aws:cloudwatch/metricAlarm:MetricAlarm", f"cloudwatch:{here}:alarm:{{}}"
        ),
        ("cloudwatch", "dashboard"): (f"arn:{partition}:cloudwatch::{account}:dashboard/{prefix}-*",),
        ("budgets", "budget"): named("aws:budgets/budget:Budget", f"budgets::{account}:budget/{{}}"),
    }


def _pattern(name: str, prefix: str) -> str:
    """Pulumi appends a few characters to the name of a resource that the program does not name itself."""
    return f"{prefix}-*" if name.startswith(f"{prefix}-") else f"{name}-*"


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def _one_or_list(values: Sequence[str] | Iterable[str]) -> Json:
    found = list(values)
    return found[0] if len(found) == 1 else found
