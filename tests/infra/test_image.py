"""What is built, where it is pushed, and how functions refer to it."""

import json

from tests.infra.asked import SECRET, Deployed
from tests.infra.program import REPOSITORY, URIS, Deploy


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
    assert [each.inputs["architectures"] for each in functions] == [["arm64"]] * 3


def test_functions_refer_to_the_checked_digest(dev: Deployed):
    checked = {each.name: each for each in dev.resources if each.type == "pulumi-python:dynamic:CheckedImage"}
    assert set(checked) == {"image-slim", "image-full"}
    for each in checked.values():
        assert each.inputs["pushed"] == URIS[each.name.removeprefix("image-")]
        assert (each.inputs["platform"], each.inputs["region"]) == ("linux/amd64", "us-east-1")
    for name in ("sentiment", "summarization", "warmup"):
        function = dev.function(name)
        assert function.inputs["imageUri"] == URIS["full" if name == "warmup" else "slim"]
        # Both: where one is refused, no function has changed.
        assert dev.before(function) >= {("dynamic", "image-slim"), ("dynamic", "image-full")}


def test_the_credentials_of_the_registry_are_secrets(dev: Deployed):
    for each in dev.all("docker:index/image").values():
        registry = each.wire["registry"]
        assert registry["server"] == REPOSITORY
        assert registry["username"][SECRET] and registry["password"][SECRET]


def test_the_repository_scans_and_forgets_only_what_a_newer_push_has_replaced(dev: Deployed):
    assert dev.one("ecr/repository").inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    (rule,) = json.loads(dev.one("ecr/lifecyclePolicy").inputs["policy"])["rules"]
    # What functions run is tagged, by its target: a rule for untagged images never matches it.
    assert rule["selection"] == {
        "tagStatus": "untagged",
        "countType": "imageCountMoreThan",
        "countNumber": 30,
    }
