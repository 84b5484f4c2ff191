"""The model cache: one EFS file system that the warm-up writes and every endpoint reads."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .encryption import Encryption, keep_key
from .hooks import explain_error
from .naming import stack_prefix
from .network import Network
from .role import ExecutionRole
from .settings import Settings

MOUNT_PATH = "/mnt/hf_models_cache"
_UID = _GID = 1001


class ModelCache(pulumi.ComponentResource):
    """EFS file system that holds every model; one mount target per subnet.

    Its policy lets the functions' roles mount it, and some of them write. It denies everybody plain text,
    root and what passes the access point by. A principal whose own policy lets it mount is kept out by the
    security group alone: EFS enforces no condition on who asks.

    An existing file system has one policy for all that use it, so that is left to its owner, and gets an
    access point to a folder of this stack.
    """

    summary: dict[str, pulumi.Input[str]]
    """For the outputs of the stack."""
    file_system_arn: pulumi.Output[str]
    access_point_arn: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """Functions depend on these: Lambda refuses a file system that it cannot reach yet."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        network: Network,
        readers: Iterable[ExecutionRole],
        writers: Iterable[ExecutionRole],
        encryption: Encryption,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:ModelCache", name, None, opts)
        guarded = pulumi.ResourceOptions(parent=self, protect=settings.protect)
        existing = network.existing.file_system if network.existing else None
        file_system_id: pulumi.Input[str]
        if existing:
            file_system_id, self.file_system_arn = existing.id, pulumi.Output.from_input(existing.arn)
        else:
            file_system = aws.efs.FileSystem(
                name,
                encrypted=True,  # cannot be changed later
                kms_key_id=encryption.key_arn,  # nor can this
                throughput_mode="elastic",  # bursting runs dry in the middle of a large model
                tags={"Name": stack_prefix(), **(encryption.tags or {})},
                opts=pulumi.ResourceOptions(
                    parent=self,
                    protect=settings.protect,
                    ignore_changes=["kmsKeyId"],
                    hooks=keep_key("cache"),
                ),
            )
            file_system_id, self.file_system_arn = file_system.id, file_system.arn
        access_point = aws.efs.AccessPoint(
            name,
            file_system_id=file_system_id,
            posix_user={"uid": _UID, "gid": _GID},
            root_directory={
                "path": f"/{stack_prefix()}/models" if existing else "/export/models",
                "creation_info": {"owner_uid": _UID, "owner_gid": _GID, "permissions": "750"},
            },
            opts=guarded,
        )
        self.access_point_arn = access_point.arn
        self.summary = {
            "fileSystemId": file_system_id,
            "accessPointArn": access_point.arn,
            "mountPath": MOUNT_PATH,
        }
        # Without a policy all that reaches a mount target may do everything: so there is none before it.
        before = [*network.cache_rules]
        if not existing:
            policy = aws.efs.FileSystemPolicy(
                name,
                file_system_id=file_system_id,
                policy=pulumi.Output.json_dumps(self._policy(readers, writers)),
                opts=pulumi.ResourceOptions(parent=self),
            )
            before.append(policy)
        self.ready = [*before, *self._mount_targets(name, file_system_id, network, before)]
        self.register_outputs(dict(self.summary))

    def _mount_targets(
        self,
        name: str,
        file_system_id: pulumi.Input[str],
        network: Network,
        before: list[pulumi.Resource],
    ) -> list[pulumi.Resource]:
        taken = explain_error(
            "explain-taken-zone",
            "MountTargetConflict",
            "The cache has a mount target in that zone, or in another VPC, already. If the region's list of "
            "zones has changed since the stack was made, name the zones in `zones`, first those of the "
            "subnets that are there. If `vpcId` was set, taken away or changed: a stack that is deployed "
            "stays in its network, so set it back, or deploy another stack",
        )
        opts = pulumi.ResourceOptions(
            parent=self,
            depends_on=before,
            hooks=taken,
            # Named by its zone, it may come to lie in another subnet of it, where only one can be at a time.
            delete_before_replace=True if network.existing else None,
        )
        return [
            aws.efs.MountTarget(
                f"{name}-{place}",
                file_system_id=file_system_id,
                subnet_id=subnet_id,
                security_groups=[network.cache_group_id] if network.cache_group_id else [],
                opts=opts,
            )
            for place, subnet_id in network.mount_places.items()
        ]

    def mount_statement(self, *, write: bool) -> dict[str, Json]:
        """What a role's policy must allow for its function to mount the cache."""
        return {
            "Sid": "MountCache",
            "Effect": "Allow",
            "Action": [
                "elasticfilesystem:ClientMount",
                *(["elasticfilesystem:ClientWrite"] if write else []),
            ],
            "Resource": self.file_system_arn,
            "Condition": {"StringEquals": {"elasticfilesystem:AccessPointArn": self.access_point_arn}},
        }

    def _policy(self, readers: Iterable[ExecutionRole], writers: Iterable[ExecutionRole]) -> dict[str, Json]:
        """Conditions use nothing but the keys that EFS enforces for clients.

        https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
        """
        mount, write = "elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"
        root = "elasticfilesystem:ClientRootAccess"
        through_access_point = {"elasticfilesystem:AccessPointArn": self.access_point_arn}
        statements = [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"AWS": [role.arn for role in roles]},
                "Action": actions,
                "Condition": {
                    "StringEquals": through_access_point,
                    "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
                },
            }
            for sid, roles, actions in (
                ("Read", [*readers], [mount]),
                ("ReadAndWrite", [*writers], [mount, write]),
            )
            if roles
        ]
        denials: list[tuple[str, list[str], dict[str, Json]]] = [
            (
                "DenyPlainText",
                ["elasticfilesystem:*"],
                {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            ),
            (
                "DenyPastTheAccessPoint",
                [mount, write],
                {"Condition": {"StringNotEquals": through_access_point}},
            ),
            ("DenyRoot", [root], {}),
        ]
        statements += [
            {"Sid": sid, "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": actions, **condition}
            for sid, actions, condition in denials
        ]
        resource = {"Resource": self.file_system_arn}
        return {"Version": "2012-10-17", "Statement": [{**each, **resource} for each in statements]}
