"""`storage: image` and `snapStart`: what such an endpoint is, and what a stack of them is without."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pytest

from discovery import Script
from infra.models import check_models
from infra.settings import Settings
from tests.infra.asked import Deployed
from tests.infra.program import URIS, Deploy

MIXED: dict[str, Any] = {
    "endpoints": {"sentiment": {"storage": "image", "memoryMb": 1024, "snapStart": True}}
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    from tests.infra.program import ROOT, run_program

    return run_program(ROOT, "dev", **MIXED)


def function(deployed: Deployed, endpoint: str) -> dict[str, Any]:
    (found,) = (
        each.inputs
        for each in deployed.resources
        if each.type == "aws:lambda/function:Function" and each.name.endswith(endpoint)
    )
    return found


def test_such_a_function_runs_its_own_image_outside_the_network_and_mounts_nothing(mixed: Deployed) -> None:
    own, other = function(mixed, "sentiment"), function(mixed, "summarization")
    assert own["imageUri"].endswith("image-models-sentiment") and other["imageUri"] == URIS["slim"]
    assert not own.get("vpcConfig") and not own.get("fileSystemConfig")
    variables = own["environment"]["variables"]
    assert (variables["MODEL_CACHE"], variables["HF_HUB_CACHE"]) == ("/opt/models", "/opt/models/hub")
    assert variables["HF_HUB_OFFLINE"] == "1" and "HF_TOKEN_SECRET_ARN" not in variables
    assert "python -m warmup fetch --into build/models --endpoint sentiment" in variables["WARM_COMMAND"]
    assert other["fileSystemConfig"] and other["vpcConfig"]
    assert mixed.outputs["inImage"] == ["sentiment"]


def test_its_image_is_built_from_its_own_folder_on_top_of_the_images_that_were_checked(
    mixed: Deployed,
) -> None:
    (image,) = (each for each in mixed.resources if each.name == "image-models-sentiment")
    build = image.inputs["build"]
    assert (build["context"], build["dockerfile"]) == (
        "build/models/sentiment",
        "inference/models.Dockerfile",
    )
    assert build["network"] == "none"
    assert build["args"] == {
        "BASE_IMAGE": URIS["slim"],
        "FULL_IMAGE": URIS["full"],
        "ENDPOINT": "sentiment",
        "MEMORY_MB": "1024",
        "TOLERANCE": json.dumps({"probability": 0.05, "cosine": 0.99, "sameText": 0.75}),
    }


def test_a_snapshot_is_of_the_published_version_and_older_ones_go_at_once(mixed: Deployed) -> None:
    assert function(mixed, "sentiment")["snapStart"] == {"applyOn": "PublishedVersions"}
    assert function(mixed, "sentiment")["publish"] is True
    assert not function(mixed, "summarization").get("snapStart")
    hooks = {
        each.name: {name for _, name in each.hooks}
        for each in mixed.resources
        if each.type == "aws:lambda/alias:Alias"
    }
    assert "delete-old-versions-of-snapshots" in hooks["sentiment"]
    assert "delete-old-versions" in hooks["summarization"]


def test_where_every_endpoint_is_one_there_is_no_network_no_cache_and_no_warm_up(deploy: Deploy) -> None:
    deployed = deploy("dev", storage="image", hfToken="hf_x", alarmEmail="a@b.org", allowRemoteCode=True)
    services = {each.type.split(":")[1].split("/")[0] for each in deployed.resources if "aws:" in each.type}
    assert not services & {"ec2", "efs", "vpc", "s3", "secretsmanager"}
    names = {each.name for each in deployed.resources if each.type == "aws:lambda/function:Function"}
    assert names == {"hf-lambda-dev-sentiment", "hf-lambda-dev-summarization"}
    assert not {"warmupArn", "cache"} & set(deployed.outputs)
    assert set(deployed.outputs["inImage"]) == {"sentiment", "summarization"}


def test_the_cache_lets_in_only_those_who_read_it(mixed: Deployed) -> None:
    (policy,) = (each for each in mixed.resources if each.type == "aws:efs/fileSystemPolicy:FileSystemPolicy")
    document = json.dumps(policy.inputs["policy"])
    assert "summarization" in document and "sentiment" not in document
    warmup = function(mixed, "warmup")["environment"]["variables"]
    assert warmup["IN_IMAGE"] == "sentiment"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (
            {"snapStart": True},
            "snapStart is true with storage efs; must be image, as Lambda takes no snapshot of a function "
            "that mounts a file system",
        ),
        (
            {"snapStart": True, "storage": "image", "provisionedConcurrency": 2},
            "snapStart is true with provisionedConcurrency 2; Lambda does either for a version: set "
            "snapStart to false, or provisionedConcurrency to 0",
        ),
        (
            {"coldDownload": True, "storage": "image"},
            "coldDownload is true with storage image, which is read-only; must be false, or storage efs",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_reason(
    mistakes: Callable[..., list[str]], keys: dict[str, Any], reason: str
) -> None:
    assert f"sentiment: {reason}" in mistakes("dev", endpoints={"sentiment": keys})


def test_a_warm_up_on_deploy_needs_something_to_warm(mistakes: Callable[..., list[str]]) -> None:
    assert "warmOnDeploy is true and every endpoint has storage image" in "\n".join(
        mistakes("dev", storage="image", warmOnDeploy=True)
    )


def test_code_of_a_repository_is_tried_where_the_cache_is(
    mistakes: Callable[..., list[str]], scripts: Path
) -> None:
    path = scripts / "sentiment.py"
    text = path.read_text().replace('engine="onnx"', "trust_remote_code=True")
    assert "trust_remote_code" in text
    path.write_text(text)
    found = mistakes("dev", storage="image", allowRemoteCode=True)
    assert any("storage is image with trust_remote_code=True; must be efs" in each for each in found)


def test_what_was_not_fetched_stops_the_deployment_with_the_command(deploy: Deploy, tmp_path: Path) -> None:
    def check(settings: Settings, scripts: Sequence[Script]) -> None:
        check_models(settings, scripts, tmp_path / "elsewhere")

    from local.program import mock
    from local.program.declare import read_config
    from tests.infra.program import ROOT, ZONES, PlainAnswers, full_key

    config = {**read_config(ROOT, "dev"), full_key("endpoints"): MIXED["endpoints"]}
    with pytest.raises(pulumi.RunError) as caught:
        mock.run_program(ROOT, config, stack="dev", answers=PlainAnswers(ZONES, False), check_models=check)
    said = str(caught.value)
    assert "sentiment: storage is image, and build/models/sentiment has not distilbert/" in said
    assert said.endswith("python -m warmup fetch --into build/models --endpoint sentiment")
    assert "summarization" not in said
