"""Models without internet: a bucket that a relay or the command fills, and the VPC's free way to it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .account import Account
from .existing_network import S3_ENDPOINT, read_actions, s3_service
from .naming import name_tag
from .network import Network
from .settings import Settings

_KEPT_DAYS = {"relay": 1, "none": 7}
"""The cache is what lasts: the warm-up copies a model within minutes, and of a relay deletes it then."""


class StagingBucket(pulumi.ComponentResource):
    """Private S3 bucket and the gateway endpoint through which the warm-up, alone in the VPC, reads it."""

    name: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """The warm-up depends on these: without them it finds no way to the bucket."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        network: Network,
        account: Account,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:StagingBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._settings = settings
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
        allowed = [{**statement, "Principal": "*"} for statement in self.read_statements()]
        return aws.ec2.VpcEndpoint(
            name,
            vpc_id=network.vpc_id,
            service_name=s3_service(account),
            vpc_endpoint_type="Gateway",
            route_table_ids=network.tables_without_s3,
            # What else uses route tables that are not of this stack goes this way to S3 from now on, so that
            # it must get everywhere; there the role alone says what the warm-up may read.
            policy=None if network.existing else _policy(*allowed),
            tags={"Name": name_tag(S3_ENDPOINT)} if network.existing else None,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def read_statements(self) -> list[dict[str, Json]]:
        """What the warm-up's role must allow."""
        read, listing, *deletes = read_actions(self._settings)
        statements = [_allow("ReadStagedModels", [read, listing], self._everything())]
        if deletes:
            blobs = pulumi.Output.concat(self._arn, "/*/blobs/*")
            statements.append(_allow("DeleteWhatIsCached", deletes, [blobs]))
        return statements

    def write_statements(self) -> list[dict[str, Json]]:
        """What the relay's role must allow."""
        actions = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload"]
        return [_allow("StageModels", actions, self._everything())]

    def _everything(self) -> list[pulumi.Output[str]]:
        return [self._arn, pulumi.Output.concat(self._arn, "/*")]

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
                    "expiration": {"days": _KEPT_DAYS[self._settings.egress]},
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
                    "Resource": self._everything(),
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )


def _allow(sid: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> dict[str, Json]:
    return {"Sid": sid, "Effect": "Allow", "Action": [*actions], "Resource": [*resources]}


def _policy(*statements: dict[str, Json]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [*statements]})
