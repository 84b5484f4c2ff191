"""The file system, and what its policy lets whom do."""

import fnmatch
import re
from typing import Any

import pytest

from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT, Deploy

ACCESS_POINT = f"arn:aws:efs:us-east-1:{ACCOUNT}:cache"
MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess"))


def role(name: str) -> str:
    return f"arn:aws:iam:us-east-1:{ACCOUNT}:{name}"


ENFORCED = {
    "aws:SecureTransport",
    "aws:SourceIp",
    "elasticfilesystem:AccessPointArn",
    "elasticfilesystem:AccessedViaMountTarget",
}
"""Condition keys that EFS evaluates for NFS clients. "Any other condition keys are not enforced":
https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html"""


def matching(deployed: Deployed, effect: str, action: str, principal: str, **facts: str) -> set[str]:
    """Sids of the statements with `effect` on `action` for `principal`, as EFS evaluates them."""
    return {
        each["Sid"]
        for each in deployed.one("efs/fileSystemPolicy").policy()
        if each["Effect"] == effect
        and (each["Principal"]["AWS"] == "*" or principal in each["Principal"]["AWS"])
        and any(fnmatch.fnmatch(action, pattern) for pattern in each["Action"])
        and all(
            holds(operator, facts.get(re.split("[:/]", key)[1]), wanted)
            for operator, test in each.get("Condition", {}).items()
            for key, wanted in test.items()
            if key in ENFORCED
        )
    }


def holds(operator: str, given: str | None, wanted: Any) -> bool:
    values = wanted if isinstance(wanted, list) else [wanted]
    return (given not in values) if "Not" in operator else (given in values)


def may(deployed: Deployed, name: str, action: str, **changed: str) -> bool:
    """Whether the policy of the file system, without the role's own, lets the role do it."""
    facts = {
        "SecureTransport": "true",
        "AccessPointArn": ACCESS_POINT,
        "AccessedViaMountTarget": "true",
        **changed,
    }
    allowed = matching(deployed, "Allow", action, role(name), **facts)
    return bool(allowed) and not matching(deployed, "Deny", action, role(name), **facts)


def test_it_is_encrypted_elastic_and_never_moved_to_slower_storage(dev: Deployed):
    inputs = dev.one("efs/fileSystem").inputs
    assert inputs["encrypted"] is True
    assert inputs["throughputMode"] == "elastic"
    assert "lifecyclePolicies" not in inputs


def test_the_access_point_is_the_samples(dev: Deployed):
    inputs = dev.one("efs/accessPoint").inputs
    assert inputs["posixUser"] == {"uid": 1001, "gid": 1001}
    assert inputs["rootDirectory"] == {
        "path": "/export/models",
        "creationInfo": {"ownerUid": 1001, "ownerGid": 1001, "permissions": "750"},
    }
    assert "fileSystemConfig" not in dev.function("relay").inputs
    for each in (each for name, each in dev.all("lambda/function").items() if "relay" not in name):
        mount = {"arn": ACCESS_POINT, "localMountPath": "/mnt/hf_models_cache"}
        assert each.inputs["fileSystemConfig"] == mount


def test_no_condition_is_one_that_efs_leaves_out(dev: Deployed):
    keys = {
        key
        for each in dev.one("efs/fileSystemPolicy").policy()
        for test in each.get("Condition", {}).values()
        for key in test
    }
    assert keys <= ENFORCED


def test_an_endpoint_mounts_and_does_not_write(dev: Deployed):
    for name in ("sentiment", "summarization"):
        assert may(dev, name, MOUNT)
        assert not may(dev, name, WRITE)


def test_an_endpoint_that_downloads_writes_too(deploy: Deploy):
    deployed = deploy("dev", egress="nat", endpoints={"sentiment": {"coldDownload": True}})
    assert may(deployed, "sentiment", MOUNT) and may(deployed, "sentiment", WRITE)
    assert may(deployed, "summarization", MOUNT) and not may(deployed, "summarization", WRITE)


def test_where_every_endpoint_downloads_no_statement_is_without_a_principal(deploy: Deploy):
    deployed = deploy("dev", egress="nat", coldDownload=True)
    assert all(each["Principal"]["AWS"] for each in deployed.one("efs/fileSystemPolicy").policy())
    assert may(deployed, "sentiment", WRITE) and may(deployed, "warmup", WRITE)


def test_the_warm_up_mounts_and_writes(dev: Deployed):
    assert may(dev, "warmup", MOUNT) and may(dev, "warmup", WRITE)


@pytest.mark.parametrize("action", [MOUNT, WRITE])
@pytest.mark.parametrize("name", ["warmup", "sentiment", "summarization"])
@pytest.mark.parametrize(
    "changed",
    [{"SecureTransport": "false"}, {"AccessPointArn": "another"}, {"AccessPointArn": ""}],
    ids=["in plain text", "through another access point", "past the access point"],
)
def test_nobody_is_let_in(dev: Deployed, action: str, name: str, changed: dict[str, str]):
    assert not may(dev, name, action, **changed)
    # Also where the role's own policy allows it.
    assert matching(dev, "Deny", action, role(name), **{"SecureTransport": "true", **changed})


def test_nobody_mounts_but_through_a_mount_target(dev: Deployed):
    assert not may(dev, "warmup", MOUNT, AccessedViaMountTarget="false")


def test_nobody_else_is_allowed_anything(dev: Deployed):
    for action in (MOUNT, WRITE, ROOT):
        assert not may(dev, "admin", action)


def test_no_mount_target_is_there_before_the_policy_and_the_rules_of_its_group(dev: Deployed):
    for target in dev.all("efs/mountTarget").values():
        assert dev.before(target) >= {
            ("efs/fileSystemPolicy", "cache"),
            ("vpc/securityGroupIngressRule", "network-endpoints-nfs"),
            ("vpc/securityGroupIngressRule", "network-downloads-nfs"),
        }


def test_nobody_is_root(dev: Deployed):
    assert "DenyRoot" in matching(dev, "Deny", ROOT, role("warmup"))


def test_roles_mount_through_the_access_point_alone(dev: Deployed):
    policies = dev.all("iam/rolePolicy")
    for name in ("sentiment-cache", "summarization-cache", "warmup-warm"):
        (mount,) = (each for each in policies[name].policy() if each["Sid"] == "MountCache")
        assert mount["Resource"] == f"arn:aws:efs:us-east-1:{ACCOUNT}:cache"
        assert mount["Condition"] == {"StringEquals": {"elasticfilesystem:AccessPointArn": ACCESS_POINT}}
