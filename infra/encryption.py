"""The customer managed key of KMS that encrypts what a stack stores: one of its own, or one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .account import Account
from .keys import NEW_KEY
from .naming import flow_log_group_name, log_group_name, stack_prefix
from .settings import Settings

TAG = "kms-key"
"""Of what AWS encrypts for ever with the key that it was made with: `kmsKeyArn` as it was then."""


@dataclass(frozen=True)
class Encryption:
    """With which key; without one AWS's own encrypt."""

    key_arn: pulumi.Input[str] | None = None
    tags: Mapping[str, str] | None = None
    """For resources that hooks of `keep_key` guard."""

    def of_queue(self) -> dict[str, Json]:
        """Arguments of aws.sqs.Queue."""
        if self.key_arn is None:
            return {"sqs_managed_sse_enabled": True}
        return {"kms_master_key_id": self.key_arn}

    def use_statements(self, *, write: bool = False) -> list[dict[str, Json]]:
        """What a role must allow to read what is encrypted, and with `write` to encrypt too.

        Lambda decrypts a function's environment with the function's role:
        https://repost.aws/knowledge-center/lambda-kmsaccessdeniedexception-errors. Whoever sends to a queue
        encrypts: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        """
        if self.key_arn is None:
            return []
        actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if write else [])]
        return [{"Sid": "UseKey", "Effect": "Allow", "Action": actions, "Resource": self.key_arn}]


class EncryptionKey(pulumi.ComponentResource):
    """A key of the stack's own, turned over every year."""

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, *, settings: Settings, account: Account, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hf-lambda:infra:EncryptionKey", name, None, opts)
        caller = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self))
        key = aws.kms.Key(
            name,
            description=f"What {stack_prefix()} stores: logs, models, images, environments, staged files",
            enable_key_rotation=True,
            # The longest: without its key nobody reads the cache again, and until then it can be had back.
            deletion_window_in_days=30,
            policy=pulumi.Output.json_dumps(caller.arn.apply(lambda arn: _policy(arn, account.region))),
            tags={"Name": stack_prefix()},
            opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


def encryption(
    settings: Settings, account: Account, opts: pulumi.ResourceOptions | None = None
) -> Encryption:
    """With the key that `kmsKeyArn` asks for, made where it is `new`."""
    given = settings.kms_key_arn
    if not given:
        return Encryption()
    arn: pulumi.Input[str] = given
    if given == NEW_KEY:
        arn = EncryptionKey("key", settings=settings, account=account, opts=opts).arn
    return Encryption(arn, {TAG: given})


def keep_key(label: str) -> pulumi.ResourceHookBinding:
    """For a resource with `Encryption.tags` whose key cannot change: refuses a change of it, and says why.

    Such a resource ignores changes of the key itself: whatever happens, it is never replaced for one.
    """

    def refuse(args: pulumi.ResourceHookArgs) -> None:
        refuse_other_key(args.old_inputs or {}, args.new_inputs or {})

    options = pulumi.ResourceHookOptions(on_dry_run=True)
    return pulumi.ResourceHookBinding(
        before_update=[pulumi.ResourceHook(f"keep-key-of-{label}", refuse, options)]
    )


def refuse_other_key(old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
    """Raises RunError where the inputs of a resource tell of another key than before."""
    before, after = _tag_of(old), _tag_of(new)
    if before != after:
        raise pulumi.RunError(
            f"kmsKeyArn is {after or 'empty'}, and the stack was made with {before or 'none'}. AWS keeps "
            "the key that a file system or a repository was made with, so both would be replaced, and every "
            f"cached model and every image lost. Set it back: pulumi config set kmsKeyArn '{before}', or "
            "deploy another stack"
        )


def _tag_of(inputs: Mapping[str, Json]) -> str:
    return str((inputs.get("tags") or {}).get(TAG, ""))


def _policy(caller_arn: str, region: str) -> dict[str, Json]:
    """Who may use the key: the account by its IAM policies, and the services that act for nobody's role.

    EFS, ECR, S3, Secrets Manager, SQS and Lambda take grants from, or act as, who calls them, which the first
    statement covers: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    _, partition, _, _, account_id, *_ = caller_arn.split(":")
    groups = [
        f"arn:{partition}:logs:{region}:{account_id}:log-group:{name}"
        for name in (log_group_name("*"), flow_log_group_name())
    ]
    statements: list[dict[str, Json]] = [
        {
            "Sid": "ByPoliciesOfTheAccount",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account_id}:root"},
            "Action": "kms:*",
        },
        {
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
            "Sid": "EncryptLogs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{region}.amazonaws.com"},
            "Action": [
                "kms:Encrypt*",
                "kms:Decrypt*",
                "kms:ReEncrypt*",
                "kms:GenerateDataKey*",
                "kms:Describe*",
            ],
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        },
        {
            # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
            "Sid": "SendAlarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
        },
    ]
    return {"Version": "2012-10-17", "Statement": [{**each, "Resource": "*"} for each in statements]}
