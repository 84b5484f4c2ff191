"""Models without internet: a bucket that the command fills, and the free way from the VPC to it."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .account import Account
from .existing_network import S3_ENDPOINT, s3_service
from .naming import name_tag
from .network import Network

_KEPT_DAYS = 7
"""The cache is what lasts: the warm-up copies a model within minutes."""


class StagingBucket(pulumi.ComponentResource):
    """Private S3 bucket and the gateway endpoint through which the warm-up, alone in the VPC, reads it."""

    name: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """The warm-up depends on these: without them it finds no way to the bucket."""

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        account: Account,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:StagingBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Copies alone lie here, so a destroy may empty it whatever `protect` says.
        bucket = aws.s3.Bucket(name, force_destroy=True, opts=child)
        self.name, self._arn = bucket.bucket, bucket.arn
        self._secure(name, bucket)
        prefix_list_id, self.ready = network.s3_prefix_list_id, []
        if network.tables_without_s3:
            endpoint = self._endpoint(name, network, account)
            prefix_list_id = endpoint.prefix_list_id
            self.ready.append(endpoint)
        rule = aws.vpc.SecurityGroupEgressRule(
            name,
            security_group_id=network.download_group_id,
            prefix_list_id=prefix_list_id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="Staged models in S3",
            opts=child,
        )
        self.ready.append(rule)
        self.register_outputs({"name": self.name})

    def _endpoint(self, name: str, network: Network, account: Account) -> aws.ec2.VpcEndpoint:
        read = {"Sid": "ReadStagedModels", "Effect": "Allow", "Principal": "*", **self._read()}
        return aws.ec2.VpcEndpoint(
            name,
            vpc_id=network.vpc_id,
            service_name=s3_service(account),
            vpc_endpoint_type="Gateway",
            route_table_ids=network.tables_without_s3,
            # What else uses route tables that are not of this stack goes this way to S3 from now on, so that
            # it must get everywhere; there the role alone says what the warm-up may read.
            policy=None if network.existing else _policy(read),
            tags={"Name": name_tag(S3_ENDPOINT)} if network.existing else None,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def read_statement(self) -> dict[str, Json]:
        """What the warm-up's role must allow."""
        return {"Sid": "ReadStagedModels", "Effect": "Allow", **self._read()}

    def _read(self) -> dict[str, Json]:
        return {
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [self._arn, pulumi.Output.concat(self._arn, "/*")],
        }

    def _secure(self, name: str, bucket: aws.s3.Bucket) -> None:
        child = pulumi.ResourceOptions(parent=self)
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": _KEPT_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=child,
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=_policy(
                {
                    "Sid": "DenyPlainText",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": self._read()["Resource"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )


def _policy(statement: dict[str, Json]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})
