"""Models without internet: a bucket that a relay or the command fills."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .encryption import Encryption
from .existing_network import read_actions
from .settings import Settings

_KEPT_DAYS = {"relay": 1, "none": 7}
"""The cache is what lasts: the warm-up copies a model within minutes, and of a relay deletes it then."""


class StagingBucket(pulumi.ComponentResource):
    """Private S3 bucket, which of the VPC's functions the warm-up alone reads."""

    name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        encryption: Encryption,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:StagingBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._settings = settings
        # Copies alone lie here, so a destroy may empty it whatever `protect` says.
        bucket = aws.s3.Bucket(name, force_destroy=True, opts=child)
        self.name, self._arn = bucket.bucket, bucket.arn
        self._secure(name, bucket, encryption)
        self.register_outputs({"name": self.name})

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

    def _secure(self, name: str, bucket: aws.s3.Bucket, encryption: Encryption) -> None:
        child = pulumi.ResourceOptions(parent=self)
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[_rule(encryption)],
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


def _rule(encryption: Encryption) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgs:
    has_key = encryption.key_arn is not None
    return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=(
            aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                sse_algorithm="aws:kms" if has_key else "AES256", kms_master_key_id=encryption.key_arn
            )
        ),
        # Without a key of the bucket's own S3 asks KMS for every part of every file.
        bucket_key_enabled=True if has_key else None,
    )


def _allow(sid: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> dict[str, Json]:
    return {"Sid": sid, "Effect": "Allow", "Action": [*actions], "Resource": [*resources]}


def _policy(*statements: dict[str, Json]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [*statements]})
