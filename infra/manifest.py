"""Checks what was pushed: Lambda runs a single-platform image, and an engine may have pushed something else.

An engine with containerd's image store pushes whatever its store holds under the tag: with attestations, or
with more than one platform, that is an index, which Lambda refuses with a sentence that names no cause
(https://github.com/aws/aws-lambda-roadmap/issues/82). The index holds the image that Lambda wants, so the
check refers to that one; where there is none, it stops the deployment and says what to set.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from .settings import Account

_IMAGES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


class UnusableImageError(Exception):
    """Lambda would refuse what was pushed; the text says what to set."""


class CheckedImage(Resource, name="CheckedImage"):
    """`uri` is the single-platform image behind `pushed` (`<repository>@<digest>`)."""

    uri: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        pushed: pulumi.Input[str],
        platform: str,
        account: Account,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        where = {"platform": platform, "region": account.region, "profile": account.profile}
        super().__init__(ManifestChecker(), name, {"pushed": pushed, "uri": pushed, **where}, opts)


class ManifestChecker(ResourceProvider):
    """Looks into ECR when the digest has changed; there is nothing to delete."""

    serialize_as_secret_always = False  # it holds nothing; a secret would hide every diff

    def create(self, props: dict[str, Any]) -> CreateResult:
        uri = single_platform(props)
        return CreateResult(uri, {**props, "uri": uri})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        keys = ("pushed", "platform", "region")
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in keys))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**_news, "uri": single_platform(_news)})


def single_platform(props: dict[str, Any]) -> str:
    """`<repository>@<digest>` of the image for `platform` in what was pushed. Raises UnusableImageError."""
    repository, _, digest = props["pushed"].partition("@")
    ecr = boto3.Session(region_name=props["region"], profile_name=props.get("profile")).client("ecr")
    media_type, manifest = _manifest(ecr, repository, digest)
    if media_type in _INDEXES:
        digest = _for_platform(manifest, props["platform"])
        media_type, manifest = _manifest(ecr, repository, digest)
    if media_type not in _IMAGES:
        raise UnusableImageError(f"{repository}@{digest} is {media_type}, which Lambda does not run. {_FIX}")
    if any("zstd" in layer["mediaType"] for layer in manifest.get("layers", [])):
        raise UnusableImageError(
            f"{repository}@{digest} has zstd layers, which Lambda does not unpack. {_FIX}"
        )
    return f"{repository}@{digest}"


_FIX = (
    "Turn the engine's containerd image store off - in Docker Desktop under Settings, General; else with "
    '{"features": {"containerd-snapshotter": false}} in /etc/docker/daemon.json and a restart - '
    "and run `pulumi up` again."
)


def _manifest(ecr: Any, repository: str, digest: str) -> tuple[str, dict[str, Any]]:
    registry, _, name = repository.partition("/")
    answer = ecr.batch_get_image(
        registryId=registry.partition(".")[0],
        repositoryName=name,
        imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=[*_IMAGES, *_INDEXES],
    )
    if not answer["images"]:
        reasons = "; ".join(failure.get("failureReason", "") for failure in answer["failures"])
        raise UnusableImageError(f"{repository}@{digest} is not in ECR after the push: {reasons}")
    image = answer["images"][0]
    manifest = json.loads(image["imageManifest"])
    return image.get("imageManifestMediaType") or manifest["mediaType"], manifest


def _for_platform(index: dict[str, Any], platform: str) -> str:
    """Attestations are in the index too, for the platform unknown/unknown."""
    system, _, architecture = platform.partition("/")
    found = []
    for entry in index["manifests"]:
        of = entry.get("platform", {})
        found.append(f"{of.get('os')}/{of.get('architecture')}")
        if of.get("os") == system and of.get("architecture") == architecture:
            return str(entry["digest"])
    raise UnusableImageError(
        f"The image that was pushed is an index of {', '.join(found)} without {platform}. {_FIX}"
    )
