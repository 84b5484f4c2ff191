"""`python -m tests.provider.actions`: records which actions of IAM a deployment needs, by type of resource.

The real AWS provider deploys, changes and destroys the program on an emulated AWS; its log says which calls
it made for which resource. A call becomes the action that allows it, and each action is one that AWS lists.
Writes local/doctor/actions.json, of which `make doctor` makes the policy of a stack.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import boto3

from local.doctor.policy import RECORDED, Recorded, unseen_actions
from tests.provider.aws.server import KEYS, ROOT, emulated_aws
from tests.provider.document import write_document
from tests.provider.schema import Schema
from tests.provider.terraform import Installed, Terraform, find_terraform

STEPS: tuple[Mapping[str, Any], ...] = (
    {
        "egress": "nat",
        "functionUrl": "iam",
        "alarmEmail": "a@example.org",
        "monthlyBudgetUsd": 5,
        "hfToken": "hf_x",
    },
    {
        "memoryMb": 512,
        "tags": {"a": "b"},
        "functionUrl": "public",
        "cors": {"origins": ["https://example.org"]},
        "reservedConcurrency": 3,
        "provisionedConcurrency": 1,
        "logRetentionDays": 30,
        "tracing": "active",
        "permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
        "allowRemoteCode": True,
        "monthlyBudgetUsd": 0,  # moto changes none
        "hfToken": "hf_y",
        "egress": "relay",
    },
    {
        "tags": {"c": "d"},
        "functionUrl": "iam",
        "reservedConcurrency": -1,
        "provisionedConcurrency": 2,
        "logRetentionDays": 0,
        "permissionsBoundary": "",
        "alarmEmail": "b@example.org",
        "azCount": 3,
        "egress": "ipv6",
        "endpoints": {"sentiment": {"image": "full"}},
    },
)
"""What a stack is set to, step by step: so that everything is created, changed and deleted once."""

SERVICES = {
    "Budgets": "budgets",
    "CloudWatch": "cloudwatch",
    "CloudWatch Logs": "logs",
    "EC2": "ec2",
    "ECR": "ecr",
    "EFS": "elasticfilesystem",
    "IAM": "iam",
    "Lambda": "lambda",
    "S3": "s3",
    "SNS": "sns",
    "Secrets Manager": "secretsmanager",
}
"""The prefix of a service's actions, by the name that clients of AWS have for it."""
_NOT_AS_THE_CALL = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    # https://docs.aws.amazon.com/cost-management/latest/userguide/billing-permissions-ref.html
    **dict.fromkeys(
        (
            *("budgets:CreateBudget", "budgets:UpdateBudget", "budgets:DeleteBudget"),
            *("budgets:CreateNotification", "budgets:UpdateNotification", "budgets:DeleteNotification"),
            *("budgets:CreateSubscriber", "budgets:UpdateSubscriber", "budgets:DeleteSubscriber"),
        ),
        "budgets:ModifyBudget",
    ),
    **dict.fromkeys(
        (
            *("budgets:DescribeBudget", "budgets:DescribeNotificationsForBudget"),
            "budgets:DescribeSubscribersForNotification",
        ),
        "budgets:ViewBudget",
    ),
}
_TAG_ACTIONS = {
    "ec2": ("CreateTags", "DeleteTags"),
    "iam": ("TagRole", "UntagRole"),
    "s3": ("GetBucketTagging", "PutBucketTagging"),
}
"""What tags resources of a service; elsewhere TagResource and UntagResource. AWS asks for it where they are
created with tags too, without a call: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html"""


def action_of(service: str, operation: str) -> str:
    """`Lambda`, `CreateFunction` is `lambda:CreateFunction`. Raises KeyError for what AWS does not list."""
    call = f"{SERVICES[service]}:{operation}"
    action = _NOT_AS_THE_CALL.get(call, call)
    kinds_of(action)
    return action


def kinds_of(action: str) -> tuple[str, ...]:
    """The kinds of resources that a policy can hold `action` to; none where it is for all or nothing."""
    service, _, name = action.partition(":")
    listed = _listed()[service]["Actions"]
    if name.lower() not in listed:
        raise KeyError(f"AWS lists no action {action}")
    return tuple(sorted(listed[name.lower()].get("Resources", ())))


def arn_formats(action: str) -> Iterable[str]:
    """How the names of what `action` can be held to are written, with `${Account}` and `.*` in them."""
    listed = _listed()[action.partition(":")[0]]["Resources"]
    return [form for kind in kinds_of(action) for form in listed[kind.lower()]["ARNFormats"]]


@cache
def _listed() -> Any:
    """The actions of every service, as AWS publishes them for its editor of policies."""
    folder = resources.files("cfnlint.data.AdditionalSpecs")
    return json.loads((folder / "Policies.json").read_text())


def calls_in(log: Path) -> dict[str, set[tuple[str, str]]]:
    """Kind of Terraform's resource -> (service, operation) that the provider called for it."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    with log.open() as lines:
        for line in lines:
            if '"HTTP Request Sent"' in line:
                said = json.loads(line)
                if kind := said.get("tf_resource_type"):
                    found[kind].add((said["rpc.service"], said["rpc.method"]))
    return found


def record(installed: Installed, folder: Path) -> Recorded:
    log = folder / "terraform.log"
    tokens: dict[str, str] = {}
    keys: dict[str, Any] = {}
    os.environ |= {"TF_LOG": "JSON", "TF_LOG_PATH": str(log)}
    with emulated_aws(folder / "aws.log") as address:
        terraform = Terraform(installed, folder / "state", address)
        schema = terraform.schema()
        _make_boundary(address)
        for step in STEPS:
            keys |= step
            document = write_document(ROOT, "dev", schema, keys)
            tokens |= {schema.kind(token): token for token, _ in document.names.values()}
            terraform.apply(document)
        terraform.destroy()
    return _recorded(installed.version, schema, tokens, calls_in(log))


def _recorded(
    version: str, schema: Schema, tokens: Mapping[str, str], calls: Mapping[str, set[tuple[str, str]]]
) -> Recorded:
    """`tokens`: kind of Terraform's resource -> its type in Pulumi."""
    allowed = {
        tokens[kind]: _with_tags(schema, kind, {action_of(*call) for call in each})
        for kind, each in calls.items()
    }
    every = sorted({action for actions in allowed.values() for action in actions} | unseen_actions())
    return Recorded(
        version,
        {token: tuple(sorted(allowed[token])) for token in sorted(allowed)},
        {action: kinds_of(action) for action in every},
    )


def _make_boundary(address: str) -> None:
    """The policy that `permissionsBoundary` names."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    key, secret = KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]
    iam: Any = boto3.client(
        "iam",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    iam.create_policy(PolicyName="boundary", PolicyDocument=document)


def _with_tags(schema: Schema, kind: str, actions: set[str]) -> set[str]:
    if "tags" not in schema.block(kind).get("attributes", {}):
        return actions
    services = {action.partition(":")[0] for action in actions}
    if len(services) > 1:  # it looks at what belongs to another service too
        making = {action for action in actions if re.search(":(Create|Put|Allocate)", action)}
        services = {action.partition(":")[0] for action in making}
    (service,) = services
    names = _TAG_ACTIONS.get(service, ("TagResource", "UntagResource"))
    return actions | {f"{service}:{name}" for name in names}


def main() -> int:
    installed = find_terraform()
    if isinstance(installed, str):
        sys.stderr.write(f"skipped: {installed}\n")
        return 77
    with tempfile.TemporaryDirectory(prefix="actions-") as folder:
        recorded = record(installed, Path(folder))
    RECORDED.write_text(json.dumps(recorded.to_json(), indent=1) + "\n")
    sys.stdout.write(f"{len(recorded.actions)} types of resources, {len(recorded.kinds)} actions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
