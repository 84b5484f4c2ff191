"""The role that a function runs with, and the log group that it writes to."""

from __future__ import annotations

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


def trust(service: str) -> dict[str, Json]:
    """The policy that lets a service of AWS take a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def explain_refused_key(name: str) -> pulumi.ResourceHookBinding:
    """For a log group; `name` is the hook's alone."""
    # https://github.com/hashicorp/terraform-provider-aws/issues/29282
    return explain_error(
        f"explain-refused-key-{name}",
        "is not allowed to be used with Arn",
        "The policy of the key that `kmsKeyArn` names must let CloudWatch Logs use it; see docs/security.md",
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
        child = pulumi.ResourceOptions(parent=self)
        self.log_group = aws.cloudwatch.LogGroup(
            name,
            name=log_group_name(name),
            # An endpoint has its own.
            retention_in_days=settings.endpoints.get(name, settings).log_retention_days,
            kms_key_id=encryption.key_arn,
            opts=pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(parent=self, hooks=explain_taken_name(log_group_name(name))),
                pulumi.ResourceOptions(hooks=explain_refused_key(name)),
            ),
        )
        self._role = aws.iam.Role(
            name,
            description=f"Runs {function_name(name)}",
            assume_role_policy=pulumi.Output.json_dumps(trust("lambda.amazonaws.com")),
            permissions_boundary=settings.permissions_boundary or None,
            opts=child,
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
        return aws.iam.RolePolicy(
            f"{self._name}-{label}",
            role=self._role.id,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
            opts=pulumi.ResourceOptions(parent=parent),
        )
