"""What is built, where it is pushed, and how functions refer to it."""

import json
from typing import Any

import pulumi
import pytest

from infra.account import Account
from infra.registry import Manifest, PlatformImage
from tests.infra.asked import SECRET, Deployed
from tests.infra.program import REPOSITORY, URIS, Deploy

OCI, INDEX = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index"))


def test_endpoints_run_the_image_that_they_need_and_the_warm_up_the_full_one(deploy: Deploy):
    deployed = deploy("dev", endpoints={"sentiment": {"image": "full"}})
    built = deployed.all("docker:index/image")
    assert {each.inputs["build"]["target"] for each in built.values()} == {"slim", "full"}
    assert set(built) == {"image-slim", "image-full"}
    assert {each.inputs["imageName"] for each in built.values()} == {
        f"{REPOSITORY}:slim",
        f"{REPOSITORY}:full",
    }


def test_a_target_that_nobody_uses_is_not_built(deploy: Deploy):
    deployed = deploy("dev", image="full")
    assert set(deployed.all("docker:index/image")) == {"image-full"}
    assert deployed.outputs["imageUri"] == URIS["full"]


def test_the_image_is_built_from_the_root_for_one_platform_and_not_on_preview(dev: Deployed):
    for name, each in dev.all("docker:index/image").items():
        assert each.inputs["buildOnPreview"] is False
        assert each.inputs.get("skipPush") in (None, False)
        assert each.inputs["build"] == {
            "context": ".",
            "dockerfile": "inference/Dockerfile",
            "target": name.removeprefix("image-"),
            "platform": "linux/amd64",
            "builderVersion": "BuilderBuildKit",
            "args": {},
        }


def test_arm64_builds_and_runs_on_arm64(deploy: Deploy):
    deployed = deploy("dev", architecture="arm64", buildArgs={"BASE_IMAGE": "python:3.11"})
    built = deployed.all("docker:index/image").values()
    assert {each.inputs["build"]["platform"] for each in built} == {"linux/arm64"}
    assert [each.inputs["build"]["args"] for each in built] == [{"BASE_IMAGE": "python:3.11"}] * 2
    functions = deployed.all("lambda/function").values()
    assert [each.inputs["architectures"] for each in functions] == [["arm64"]] * 4


def test_functions_refer_to_the_digest_that_was_found_in_ecr(deploy: Deploy):
    found = {uri: "sha256:" + letter * 64 for uri, letter in zip(URIS.values(), "12", strict=True)}

    def read(account: Account, uri: str) -> Manifest:
        digest = found.get(uri)
        return Manifest(INDEX, images=[PlatformImage("linux/amd64", digest)]) if digest else Manifest(OCI)

    deployed = deploy("dev", read_manifest=read)
    for name, target in (("sentiment", "slim"), ("summarization", "slim"), ("warmup", "full")):
        function = deployed.function(name)
        assert function.inputs["imageUri"] == f"{REPOSITORY}@{found[URIS[target]]}"
        # Both: where one is refused, no function has changed.
        pushed = {("index/image", "image-slim"), ("index/image", "image-full")}
        assert deployed.before(function) >= pushed
    assert deployed.outputs["imageUri"] == f"{REPOSITORY}@{found[URIS['slim']]}"


def test_no_provider_of_ours_is_in_a_new_state(deploy: Deploy):
    """Its class would be found by its module's path: a state outlives where the code lies."""
    deployed = deploy("dev", warmOnDeploy=True)
    assert not [each.urn for each in deployed.resources if "dynamic" in each.type]


def test_the_credentials_of_the_registry_are_secrets(dev: Deployed):
    for each in dev.all("docker:index/image").values():
        registry = each.wire["registry"]
        assert registry["server"] == REPOSITORY
        assert registry["username"][SECRET] and registry["password"][SECRET]


def test_build_arguments_that_are_secrets_stay_so_in_the_state_and_are_warned_of(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
):
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    given = {"PIP_INDEX": "https://me:s3cret@example.com"}
    for secrets in ((), ("buildArgs",)):
        deployed = deploy("dev", buildArgs=given, secret_keys=secrets)
        for each in deployed.all("docker:index/image").values():
            assert each.inputs["build"]["args"] == given
            assert (SECRET in str(each.wire["build"])) is bool(secrets)
    (warning,) = warnings
    assert warning.startswith("buildArgs is a secret of the config, but whoever can pull the image reads")


def test_the_repository_scans_and_forgets_only_what_a_newer_push_has_replaced(dev: Deployed):
    assert dev.one("ecr/repository").inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    (rule,) = json.loads(dev.one("ecr/lifecyclePolicy").inputs["policy"])["rules"]
    # What functions run is tagged, by its target: a rule for untagged images never matches it.
    assert rule["selection"] == {
        "tagStatus": "untagged",
        "countType": "imageCountMoreThan",
        "countNumber": 30 + (3 + 2) * 2,
    }


@pytest.mark.parametrize("keys", [{"keepVersions": 20}, {"keepVersions": 0}, {"storage": "image"}])
def test_what_versions_that_are_kept_refer_to_is_not_among_what_the_repository_forgets(
    deploy: Deploy, keys: dict[str, Any]
):
    deployed = deploy("dev", **keys)
    (rule,) = json.loads(deployed.one("ecr/lifecyclePolicy").inputs["policy"])["rules"]
    replaced = len(deployed.all("docker:index/image"))  # by each deployment, in the one repository
    assert replaced == (4 if keys == {"storage": "image"} else 2)
    # Of those that are kept, the one that serves and the one that comes; and of pushes that were in vain.
    assert rule["selection"]["countNumber"] == 30 + (keys.get("keepVersions", 3) + 2) * replaced
