"""The VPC's free way to S3, and what functions may read of a bucket that a stack does not own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .account import Account
from .existing_network import S3_ENDPOINT, s3_service
from .naming import name_tag
from .network import Network
from .settings import Settings


@dataclass(frozen=True)
class InputBucket:
    """`inputBucket`: whose objects endpoints read, and how their policies say it."""

    address: str
    """The bucket, or `bucket/folder/`."""
    region: str

    @classmethod
    def of(cls, settings: Settings, account: Account) -> InputBucket | None:
        return cls(settings.input_bucket, account.region) if settings.input_bucket else None

    def statement(self) -> dict[str, Json]:
        """What the role of an endpoint must allow, and the way there let through."""
        bucket, _, folder = self.address.partition("/")
        return {
            "Sid": "ReadInputs",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:{partition_of(self.region)}:s3:::{bucket}/{folder}*",
        }


def partition_of(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


class S3Way(pulumi.ComponentResource):
    """The gateway endpoint for S3, and the rules that let groups of functions use it.

    A route table takes one such endpoint, so that all who read something of S3 share it; its policy has what
    they read and nothing else. Where an existing network leads to S3 already, it makes the rules alone.
    """

    ready: list[pulumi.Resource]
    """Functions that read something depend on these: without them they find no way."""

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        account: Account,
        statements: Sequence[Mapping[str, Json]],
        groups: Mapping[str, pulumi.Input[str]],  # security groups that may use it, by label
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:S3Way", name, None, opts)
        prefix_list_id, self.ready = network.s3_prefix_list_id, []
        if network.tables_without_s3:
            endpoint = self._endpoint(name, network, account, statements)
            prefix_list_id = endpoint.prefix_list_id
            self.ready.append(endpoint)
        for label, group_id in groups.items():
            rule = aws.vpc.SecurityGroupEgressRule(
                f"{name}-{label}",
                security_group_id=group_id,
                prefix_list_id=prefix_list_id,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description=_DESCRIPTIONS[label],
                opts=self._once_of_staging() if label == DOWNLOADS else pulumi.ResourceOptions(parent=self),
            )
            self.ready.append(rule)
        self.register_outputs({})

    def _endpoint(
        self, name: str, network: Network, account: Account, statements: Sequence[Mapping[str, Json]]
    ) -> aws.ec2.VpcEndpoint:
        allowed = [{**statement, "Principal": "*"} for statement in statements]
        policy = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": allowed})
        return aws.ec2.VpcEndpoint(
            name,
            vpc_id=network.vpc_id,
            service_name=s3_service(account),
            vpc_endpoint_type="Gateway",
            route_table_ids=network.tables_without_s3,
            # What else uses route tables that are not of this stack goes this way to S3 from now on, so that
            # it must get everywhere; there the roles alone say what the functions may read.
            policy=None if network.existing else policy,
            tags={"Name": name_tag(S3_ENDPOINT)} if network.existing else None,
            opts=self._once_of_staging(),
        )

    def _once_of_staging(self) -> pulumi.ResourceOptions:
        """Endpoint and rule belonged to the staging bucket; AWS refuses a second one beside the first."""
        parent = pulumi.create_urn("staging", "hf-lambda:infra:StagingBucket")
        return pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(name="staging", parent=parent)])


_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
ENDPOINTS, DOWNLOADS = "endpoints", "downloads"
_DESCRIPTIONS = {ENDPOINTS: "Inputs in S3", DOWNLOADS: "Models and inputs in S3"}
