"""The file system, and what its policy denies to whom."""

import fnmatch
import re
from typing import Any

import pytest

from tests.infra.asked import Deployed
from tests.infra.program import ACCOUNT

ACCESS_POINT = f"arn:aws:efs:us-east-1:{ACCOUNT}:cache"
MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess"))


def role(name: str) -> str:
    return f"arn:aws:iam:us-east-1:{ACCOUNT}:{name}"


def denied(deployed: Deployed, action: str, **facts: str) -> set[str]:
    """Sids of the statements that deny `action` under these condition keys, as IAM evaluates them."""
    return {
        each["Sid"]
        for each in deployed.one("efs/fileSystemPolicy").policy()
        if each["Effect"] == "Deny"
        and each["Principal"] == {"AWS": "*"}
        and any(fnmatch.fnmatch(action, pattern) for pattern in each["Action"])
        and all(
            holds(operator, facts.get(re.split("[:/]", key)[1]), wanted)
            for operator, test in each.get("Condition", {}).items()
            for key, wanted in test.items()
        )
    }


def holds(operator: str, given: str | None, wanted: Any) -> bool:
    values = wanted if isinstance(wanted, list) else [wanted]
    return (given not in values) if "Not" in operator else (given in values)


def request(**changed: str) -> dict[str, str]:
    usual = {"SecureTransport": "true", "AccessPointArn": ACCESS_POINT, "PrincipalArn": role("sentiment")}
    return {**usual, **changed}


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
    for each in dev.all("lambda/function").values():
        mount = {"arn": ACCESS_POINT, "localMountPath": "/mnt/hf_models_cache"}
        assert each.inputs["fileSystemConfig"] == mount


def test_an_endpoint_mounts_and_does_not_write(dev: Deployed):
    assert denied(dev, MOUNT, **request()) == set()
    assert denied(dev, WRITE, **request()) == {"DenyWriteByOthers"}


def test_the_warm_up_mounts_and_writes(dev: Deployed):
    as_warmup = request(PrincipalArn=role("warmup"))
    assert denied(dev, MOUNT, **as_warmup) == denied(dev, WRITE, **as_warmup) == set()


@pytest.mark.parametrize("action", [MOUNT, WRITE])
@pytest.mark.parametrize("name", ["warmup", "sentiment", "summarization"])
def test_nobody_comes_in_plain_text_or_past_the_access_point(dev: Deployed, action: str, name: str):
    who = {"PrincipalArn": role(name)}
    assert "DenyPlainText" in denied(dev, action, **request(SecureTransport="false", **who))
    assert "DenyPastTheAccessPoint" in denied(dev, action, **request(AccessPointArn="another", **who))
    without = request(**who)
    del without["AccessPointArn"]
    assert "DenyPastTheAccessPoint" in denied(dev, action, **without)


def test_everybody_else_is_denied_even_without_a_name(dev: Deployed):
    stranger, anonymous = request(PrincipalArn=role("admin")), request()
    del anonymous["PrincipalArn"]
    for facts in (stranger, anonymous):
        assert "DenyMountByOthers" in denied(dev, MOUNT, **facts)
        assert "DenyWriteByOthers" in denied(dev, WRITE, **facts)


def test_no_mount_target_is_there_before_the_policy_and_the_rules_of_its_group(dev: Deployed):
    for target in dev.all("efs/mountTarget").values():
        assert dev.before(target) >= {
            ("efs/fileSystemPolicy", "cache"),
            ("vpc/securityGroupIngressRule", "network-endpoints-nfs"),
            ("vpc/securityGroupIngressRule", "network-downloads-nfs"),
        }


def test_nobody_is_root(dev: Deployed):
    assert "DenyRoot" in denied(dev, ROOT, **request(PrincipalArn=role("warmup")))


def test_roles_mount_through_the_access_point_alone(dev: Deployed):
    policies = dev.all("iam/rolePolicy")
    for name in ("sentiment-cache", "summarization-cache", "warmup-warm"):
        (mount,) = (each for each in policies[name].policy() if each["Sid"] == "MountCache")
        assert mount["Resource"] == f"arn:aws:efs:us-east-1:{ACCOUNT}:cache"
        assert mount["Condition"] == {"StringEquals": {"elasticfilesystem:AccessPointArn": ACCESS_POINT}}
