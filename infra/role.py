"""The role that a function runs with and the log group that it writes to; roles of other services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .encryption import Encryption
from .hooks import explain_error, explain_taken_name
from .naming import function_name, log_group_name
from .settings import Settings

_INTERFACES: dict[str, Json] = {
    # Lambda calls these with the function's role to put it into the VPC. The describing ones take no resource
    # at all; with the others narrowed to subnets Lambda is reported to refuse the role
    # (https://github.com/aws/serverless-application-model/issues/1074). So the next narrows by caller.
    "Sid": "AttachToVpc",
    "Effect": "Allow",
    "Action": [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ],
    "Resource": "*",
}
_NOT_FROM_CODE: dict[str, Json] = {
    # ... which is Lambda's business alone: what runs inside the function carries this key and may not.
    "Sid": "NotFromInsideTheFunction",
    "Effect": "Deny",
    "Action": "ec2:*",
    "Resource": "*",
    "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
}


def make_role(
    name: str, *, service: str, description: str, settings: Settings, opts: pulumi.ResourceOptions
) -> aws.iam.Role:
    """A role that a service of AWS may take, within `permissionsBoundary`."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return aws.iam.Role(
        name,
        description=description,
        assume_role_policy=_document([trust]),
        permissions_boundary=settings.permissions_boundary or None,
        opts=opts,
    )


def add_policy(
    name: str, role: aws.iam.Role, statements: Sequence[Mapping[str, Json]], opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicy:
    return aws.iam.RolePolicy(name, role=role.id, policy=_document(statements), opts=opts)


def make_log_group(
    name: str, *, group_name: str, retention_days: int, encryption: Encryption, parent: pulumi.Resource
) -> aws.cloudwatch.LogGroup:
    # https://github.com/hashicorp/terraform-provider-aws/issues/29282
    refused_key = explain_error(
        f"explain-refused-key-{name}",
        "is not allowed to be used with Arn",
        "The policy of the key that `kmsKeyArn` names must let CloudWatch Logs use it; see docs/security.md",
    )
    return aws.cloudwatch.LogGroup(
        name,
        name=group_name,
        retention_in_days=retention_days,
        kms_key_id=encryption.key_arn,
        opts=pulumi.ResourceOptions(
            parent=parent,
            hooks=pulumi.ResourceHookBinding.merge(explain_taken_name(group_name), refused_key),
        ),
    )


class ExecutionRole(pulumi.ComponentResource):
    """Role and log group of a function.

    They come before the cache, whose policy names them, and before the function, which would make a log group
    without retention.
    """

    arn: pulumi.Output[str]
    log_group: aws.cloudwatch.LogGroup

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        encryption: Encryption,
        in_vpc: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:ExecutionRole", name, None, opts)
        self._name = name
        self.log_group = make_log_group(
            name,
            group_name=log_group_name(name),
            # An endpoint has its own.
            retention_days=settings.endpoints.get(name, settings).log_retention_days,
            encryption=encryption,
            parent=self,
        )
        self._role = make_role(
            name,
            service="lambda.amazonaws.com",
            description=f"Runs {function_name(name)}",
            settings=settings,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = self._role.arn
        self.allow(
            "run",
            [
                {
                    "Sid": "WriteLogs",
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": pulumi.Output.concat(self.log_group.arn, ":*"),
                },
                *([_INTERFACES, _NOT_FROM_CODE] if in_vpc else []),
            ],
            parent=self,
        )
        self.register_outputs({"arn": self.arn})

    def allow(
        self, label: str, statements: list[dict[str, Json]], *, parent: pulumi.Resource
    ) -> aws.iam.RolePolicy:
        """Adds a policy to the role; the function that needs it is its parent."""
        return add_policy(
            f"{self._name}-{label}", self._role, statements, pulumi.ResourceOptions(parent=parent)
        )


def _document(statements: Sequence[Mapping[str, Json]]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [*statements]})
