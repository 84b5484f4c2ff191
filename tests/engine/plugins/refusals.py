"""Some of what AWS refuses, in AWS's words: tests/provider/aws/refusals.py has the sources.

The emulated AWS of tests/provider refuses by far more, and over the same program. Here is what Pulumi's own
engine must meet: what hooks of the program explain, prevent or clean up, which run under no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.engine.plugins.catalogue import ACCOUNT
from tests.engine.plugins.cloud import Cloud

IMAGE, REPOSITORY = "docker:index/image:Image", "aws:ecr/repository:Repository"
FUNCTION, SUBNET = "aws:lambda/function:Function", "aws:ec2/subnet:Subnet"
ZONE_WITHOUT_LAMBDA = "e"
"""The last letter of its name."""


def refused_creation(cloud: Cloud, kind: str, key: str, inputs: dict[str, Any]) -> str | None:
    if key in cloud.resources:
        return _TAKEN.get(kind, f"AlreadyExistsException: {key}").format(inputs.get("name"), ACCOUNT)
    if kind == "aws:efs/mountTarget:MountTarget":
        return _second_mount_target(cloud, inputs)
    return refused_update(cloud, kind, inputs)


_TAKEN = {
    "aws:ecr/repository:Repository": (
        "RepositoryAlreadyExistsException: The repository with name '{}' already exists in the registry with "
        "id '{}'"
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        "ResourceAlreadyExistsException: The specified log group already exists"
    ),
}


def refused_update(cloud: Cloud, kind: str, inputs: dict[str, Any]) -> str | None:
    if kind == IMAGE:
        return _taken_tag(cloud, inputs)
    if kind != FUNCTION:
        return None
    subnets = (inputs.get("vpcConfig") or {}).get("subnetIds") or []
    zones = [_inputs(cloud, SUBNET, each).get("availabilityZone", "") for each in subnets]
    if any(zone.endswith(ZONE_WITHOUT_LAMBDA) for zone in zones):
        return (
            "InvalidParameterValueException: The provided subnets contain availability zone Lambda doesn't "
            "support. Please use a different set of subnets."
        )
    return None


def _taken_tag(cloud: Cloud, inputs: dict[str, Any]) -> str | None:
    name = short_name(inputs)
    repository, _, tag = name.rpartition(":")
    mutability = _inputs(cloud, REPOSITORY, repository).get("imageTagMutability")
    if mutability == "IMMUTABLE" and name in cloud.tags:
        # https://github.com/moby/buildkit/issues/3776
        return (
            f"tag invalid: The image tag '{tag}' already exists in the '{repository}' repository and cannot "
            "be overwritten because the repository is immutable."
        )
    return None


def short_name(inputs: dict[str, Any]) -> str:
    """`<repository>:<tag>`, without the registry."""
    return str(inputs["imageName"]).partition("/")[2]


def refused_deletion(cloud: Cloud, kind: str, identifier: str) -> str | None:
    if kind in (SUBNET, "aws:ec2/securityGroup:SecurityGroup"):
        users = sorted({name for name, held in _interfaces(cloud) if identifier in held})
        if users:
            text = "has dependencies and cannot be deleted"
            return f"DependencyViolation: The resource '{identifier}' {text}: {', '.join(users)}"
    return None


def _second_mount_target(cloud: Cloud, inputs: dict[str, Any]) -> str | None:
    place = _place(cloud, inputs["subnetId"])
    for key, each in cloud.resources.items():
        if key.startswith("aws:efs/mountTarget:") and each.inputs["fileSystemId"] == inputs["fileSystemId"]:
            other = _place(cloud, each.inputs["subnetId"])
            if other[0] != place[0] or (other == place and place[1]):
                return "MountTargetConflict: mount target already exists in this AZ"
    return None


def _place(cloud: Cloud, subnet: str) -> tuple[str, str]:
    """VPC and zone; of a subnet that no stack has made, neither is known here."""
    found = _inputs(cloud, SUBNET, subnet)
    return found.get("vpcId", ""), found.get("availabilityZone", "")


def _inputs(cloud: Cloud, kind: str, identifier: str) -> dict[str, Any]:
    found = cloud.resources.get(f"{kind} {identifier}")
    return found.inputs if found else {}


def _interfaces(cloud: Cloud) -> Iterator[tuple[str, set[str]]]:
    """Of each function, published version and mount target: subnets and security groups."""
    for key, each in cloud.resources.items():
        if key.startswith(FUNCTION):
            config = each.inputs.get("vpcConfig") or {}
            yield key, {*config.get("subnetIds", []), *config.get("securityGroupIds", [])}
        elif key.startswith("aws:efs/mountTarget:"):
            yield key, {each.inputs["subnetId"], *each.inputs.get("securityGroups", [])}
    for function, versions in cloud.versions.items():
        for version, subnets in versions.items():
            yield f"{function}:{version}", set(subnets)
