"""Customer managed keys, dead letters, traces, flow logs, tags that stay: what each asks for and allows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.build_context import content_tag
from infra.encryption import refuse_other_key
from infra.hooks import free_tag
from tests.infra.asked import Deployed, statements
from tests.infra.program import ACCOUNT, ROOT, Deploy, run_program

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
FULL: dict[str, Any] = {
    "egress": "relay",
    "alarmEmail": "ops@example.org",
    "hfToken": "hf_x",
    "allowRemoteCode": True,
    "async": True,
}
"""Everything that stores something."""
KEYS_OF = {
    "cloudwatch/logGroup": ("kmsKeyId",),
    "efs/fileSystem": ("kmsKeyId",),
    "ecr/repository": ("encryptionConfigurations", 0, "kmsKey"),
    "lambda/function": ("kmsKeyArn",),
    "secretsmanager/secret": ("kmsKeyId",),
    "sns/topic": ("kmsMasterKeyId",),
    "sqs/queue": ("kmsMasterKeyId",),
    "s3/bucketServerSideEncryptionConfiguration": (
        *("rules", 0, "applyServerSideEncryptionByDefault", "kmsMasterKeyId"),
    ),
}
"""Types that store something, and where their key is said."""


def at(inputs: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        inputs = inputs[step]
    return inputs


@pytest.fixture(scope="module")
def hardened() -> Deployed:
    return run_program(ROOT, "prod", **FULL)


def test_one_key_encrypts_whatever_prod_stores(hardened: Deployed):
    made = hardened.one("kms/key")
    assert made.inputs["enableKeyRotation"] is True and made.protect
    for kind, path in KEYS_OF.items():
        found = hardened.all(kind)
        assert found, kind
        keys = {name: at(each.inputs, path) for name, each in found.items()}
        assert set(keys.values()) == {made.outputs["arn"]}, (kind, keys)


def test_a_key_that_is_there_is_taken_as_it_is(deploy: Deploy):
    deployed = deploy("prod", kmsKeyArn=KEY, **FULL)
    assert not deployed.all("kms/key")
    for kind, path in KEYS_OF.items():
        assert {at(each.inputs, path) for each in deployed.all(kind).values()} == {KEY}


def test_who_may_use_the_key_is_the_account_logs_of_this_stack_and_alarms(hardened: Deployed):
    policy = {each["Sid"]: each for each in hardened.one("kms/key").policy()}
    assert policy["ByPoliciesOfTheAccount"]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert policy["EncryptLogs"]["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    patterns = policy["EncryptLogs"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    groups = {each.inputs["name"] for each in hardened.all("cloudwatch/logGroup").values()}
    for group in groups:
        arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
        assert any(Path(arn).match(pattern) for pattern in patterns), arn
    assert policy["SendAlarms"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert set(policy) == {"ByPoliciesOfTheAccount", "EncryptLogs", "SendAlarms"}


def test_every_role_may_do_what_its_function_was_given(hardened: Deployed):
    arn, queue = (
        hardened.one("kms/key").outputs["arn"],
        hardened.all("sqs/queue")["dead-letters"].outputs["arn"],
    )
    functions = hardened.all("lambda/function")
    assert len(functions) == 5
    for name, function in functions.items():
        assert function.inputs["deadLetterConfig"] == {"targetArn": queue}
        assert function.inputs["tracingConfig"] == {"mode": "Active"}
        role = name.removeprefix("hf-lambda-prod-")
        policies = {
            key: each
            for key, each in hardened.all("iam/rolePolicy").items()
            if each.inputs["role"] == f"{role}-id"
        }
        allowed = statements(policies)
        assert allowed["UseKey"]["Resource"] == arn
        assert set(allowed["UseKey"]["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
        assert allowed["KeepDeadLetters"]["Resource"] == queue
        assert "WriteTraces" in allowed
        # A function whose role may not send yet is refused.
        assert set(policies) - {f"{role}-run"} <= {key for _, key in hardened.before(function)}


def test_without_any_of_it_nothing_of_it_is_there(dev: Deployed):
    assert not [
        each.name
        for each in dev.resources
        if each.type.startswith(("aws:kms/", "aws:sqs/", "aws:ec2/flowLog"))
    ]
    assert not {"UseKey", "KeepDeadLetters", "WriteTraces"} & set(statements(dev.all("iam/rolePolicy")))


def test_the_warm_up_and_the_relay_are_bounded_and_endpoints_have_their_own(hardened: Deployed):
    bounds = {
        name.removeprefix("hf-lambda-prod-"): each.inputs.get("reservedConcurrentExecutions")
        for name, each in hardened.all("lambda/function").items()
    }
    assert bounds == {"warmup": 10, "relay": 10, "warmup-code": 10, "sentiment": -1, "summarization": -1}


def test_the_vpc_logs_what_connects_to_a_group_that_nothing_else_writes(hardened: Deployed):
    log, group = hardened.one("ec2/flowLog").inputs, hardened.all("cloudwatch/logGroup")["network-flow"]
    assert (log["trafficType"], log["logDestination"]) == ("ALL", group.outputs["arn"])
    policy = statements({"": hardened.all("iam/rolePolicy")["network-flow"]})["WriteFlowLogs"]
    assert policy["Resource"] == [group.outputs["arn"], f"{group.outputs['arn']}:*"]


@pytest.mark.parametrize(
    "before, after", [("", "new"), ("new", ""), ("new", KEY), (KEY, "")], ids=lambda each: each[:9] or "none"
)
def test_a_key_that_is_set_or_changed_later_is_refused_and_says_why(before: str, after: str):
    old, new = ({"tags": {"kms-key": each} if each else None} for each in (before, after))
    with pytest.raises(
        pulumi.RunError, match=r"both would be replaced.* pulumi config set kmsKeyArn '"
    ) as said:
        refuse_other_key(old, new)
    assert f"kmsKeyArn '{before}'" in str(said.value)
    refuse_other_key(old, {**old, "forceDelete": True})


def test_whatever_happens_a_changed_key_replaces_neither(hardened: Deployed, dev: Deployed):
    for deployed in (hardened, dev):
        assert deployed.one("efs/fileSystem").ignored == {"kmsKeyId"}
        assert deployed.one("ecr/repository").ignored == {"encryptionConfigurations"}
        for kind, label in (("efs/fileSystem", "cache"), ("ecr/repository", "images")):
            assert ("before_update", f"keep-key-of-{label}") in deployed.one(kind).hooks
            assert deployed.hooks[f"keep-key-of-{label}"].on_dry_run


# Tags that stay.


def test_tags_are_digests_and_the_lifecycle_keeps_what_versions_refer_to(deploy: Deploy):
    deployed = deploy("prod", keepVersions=7)
    names = [each.inputs["imageName"] for each in deployed.all("docker:index/image").values()]
    assert deployed.one("ecr/repository").inputs["imageTagMutability"] == "IMMUTABLE"
    untagged, slim, full = json.loads(deployed.one("ecr/lifecyclePolicy").inputs["policy"])["rules"]
    assert untagged["selection"]["tagStatus"] == "untagged"
    for rule, target in ((slim, "slim"), (full, "full")):
        selection = rule["selection"]
        assert selection["tagPrefixList"] == [f"{target}-"]
        assert any(name.rpartition(":")[2].startswith(f"{target}-") for name in names)
        assert selection["countNumber"] >= 7 + 2


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / ".dockerignore").write_text("# a comment\n*\n!inference\n**/*.*\n!inference/**/*.py\n")
    (tmp_path / "inference" / "shared").mkdir(parents=True)
    (tmp_path / "inference" / "a.py").write_text("1")
    (tmp_path / "inference" / "shared" / "b.py").write_text("2")
    (tmp_path / "other.py").write_text("3")
    return tmp_path


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a file's text": lambda root: (root / "inference" / "a.py").write_text("11"),
    "a file's name": lambda root: (root / "inference" / "a.py").rename(root / "inference" / "c.py"),
    "a file's mode": lambda root: (root / "inference" / "a.py").chmod(0o755),
    "another file": lambda root: (root / "inference" / "shared" / "c.py").write_text(""),
    "one file less": lambda root: (root / "inference" / "shared" / "b.py").unlink(),
    "the file of the build": lambda root: (root / "inference" / "Dockerfile").write_text("FROM scratch"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_build_has_another_tag(context: Path, what: str):
    before = content_tag("slim", "linux/amd64", {}, context)
    CHANGES[what](context)
    assert content_tag("slim", "linux/amd64", {}, context) != before


def test_the_same_build_has_the_same_tag_whatever_lies_beside_it(context: Path):
    before = content_tag("slim", "linux/amd64", {"b": "1", "a": "2"}, context)
    (context / "other.py").write_text("changed")
    (context / "inference" / "notes.txt").write_text("ignored")
    assert content_tag("slim", "linux/amd64", {"a": "2", "b": "1"}, context) == before
    others = {
        content_tag("full", "linux/amd64", {"b": "1", "a": "2"}, context),
        content_tag("slim", "linux/arm64", {"b": "1", "a": "2"}, context),
        content_tag("slim", "linux/amd64", {"b": "1"}, context),
    }
    assert len({before, *others}) == 4


class Registry:
    """ECR's part that `free_tag` speaks to."""

    class exceptions:  # noqa: N801 (boto3's name)
        class ImageAlreadyExistsException(Exception): ...  # noqa: N818

    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags
        self._held: set[str] = set()

    def client(self, service: str) -> "Registry":
        assert service == "ecr"
        return self

    def batch_get_image(self, *, imageIds: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        (asked,) = imageIds
        digest = self.tags.get(asked["imageTag"])
        found = {"imageManifest": digest, "imageManifestMediaType": "x", "imageId": {"imageDigest": digest}}
        return {"images": [found] if digest else []}

    def put_image(self, *, imageTag: str, imageManifest: str, **_: str) -> None:  # noqa: N803
        if self.tags.setdefault(imageTag, imageManifest) and imageTag in self.held:
            raise self.exceptions.ImageAlreadyExistsException
        self.held.add(imageTag)

    @property
    def held(self) -> set[str]:
        return self._held

    def batch_delete_image(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> None:  # noqa: N803
        del self.tags[imageIds[0]["imageTag"]]


def test_a_tag_that_is_there_goes_to_a_name_of_its_image_and_is_free():
    registry = Registry({"slim-1": "sha256:" + "a" * 64, "slim-2": "sha256:" + "b" * 64})
    free_tag("hf-lambda-prod", "slim-1", registry)  # type: ignore[arg-type]
    free_tag("hf-lambda-prod", "slim-3", registry)  # type: ignore[arg-type]
    assert registry.tags == {"slim-1-" + "a" * 12: "sha256:" + "a" * 64, "slim-2": "sha256:" + "b" * 64}
    # Stopped between the two, it begins again.
    registry.tags["slim-1"] = "sha256:" + "a" * 64
    free_tag("hf-lambda-prod", "slim-1", registry)  # type: ignore[arg-type]
    assert "slim-1" not in registry.tags and len(registry.tags) == 2
