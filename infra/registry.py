"""Looks up in ECR what was pushed: Lambda runs a single-platform image, and an engine may push others.

An engine with containerd's image store pushes whatever its store holds under the tag: with attestations, or
with more than one platform, that is an index, which Lambda refuses with a sentence that names no cause
(https://github.com/aws/aws-lambda-roadmap/issues/82). The index holds the image that Lambda wants, so
functions refer to that one; where there is none, the deployment stops and says what to set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.records import Json

from .account import Account

_IMAGES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
MEDIA_TYPES = (*_IMAGES, *_INDEXES)
"""What ECR is to answer with as it is."""


@dataclass(frozen=True)
class PlatformImage:
    """One entry of an index; attestations are entries too, for the platform unknown/unknown."""

    platform: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What lies in a registry under a digest: an image with its layers, or an index of images."""

    media_type: str
    layer_types: Sequence[str] = ()
    images: Sequence[PlatformImage] = ()

    @classmethod
    def from_json(cls, content: dict[str, Json], media_type: str | None) -> Manifest:
        """`media_type`: what the registry says it is, for the manifest itself need not."""
        images = []
        for entry in content.get("manifests", []):
            of = entry.get("platform", {})
            images.append(PlatformImage(f"{of.get('os')}/{of.get('architecture')}", str(entry["digest"])))
        layer_types = [str(layer["mediaType"]) for layer in content.get("layers", [])]
        return cls(media_type or str(content["mediaType"]), layer_types, images)


ManifestReader = Callable[[Account, str], Manifest | None]
"""Gives the manifest of `<repository>@<digest>`; None where there is no such digest."""


def read_manifest(account: Account, uri: str) -> Manifest | None:
    """The manifest of `uri` in ECR. Raises RunError where ECR cannot be asked."""
    repository, _, digest = uri.partition("@")
    registry, _, name = repository.partition("/")
    try:
        answer = account.client("ecr").batch_get_image(
            registryId=registry.partition(".")[0],
            repositoryName=name,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=[*MEDIA_TYPES],
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "RepositoryNotFoundException":
            return None
        raise pulumi.RunError(f"ECR cannot be asked for {uri}: {error}") from error
    except BotoCoreError as error:
        raise pulumi.RunError(f"ECR cannot be asked for {uri}: {error}") from error
    if not answer["images"]:
        return None
    image = answer["images"][0]
    return Manifest.from_json(json.loads(image["imageManifest"]), image.get("imageManifestMediaType"))


def check_push(pushed: str | None, *, urn: str, platform: str, read: Callable[[str], Manifest | None]) -> str:
    """`<repository>@<digest>` of the image for `platform` in what the resource `urn` pushed.

    Raises RunError. The resource does not notice what became of its push, so the next `pulumi up` would find
    nothing to do: the text says how to push again.
    """
    try:
        return _single_platform(pushed, platform, read)
    except _UnusableImageError as error:
        # In single quotes: between the types of a URN stands a dollar sign.
        raise pulumi.RunError(f"{error} pulumi up --replace '{urn}'") from error


class _UnusableImageError(Exception):
    """Lambda would refuse the image; the text ends before the command that pushes it again."""


_ENGINE = (
    "Turn the engine's containerd image store off - in Docker Desktop under Settings, General; else with "
    '{"features": {"containerd-snapshotter": false}} in /etc/docker/daemon.json and a restart - '
    "and push again:"
)


def _single_platform(pushed: str | None, platform: str, read: Callable[[str], Manifest | None]) -> str:
    if not pushed or "@" not in pushed:
        # https://github.com/pulumi/pulumi-docker/issues/1015
        raise _UnusableImageError("The Docker provider gave no digest for what it pushed. Push again:")
    uri, manifest = pushed, _read(pushed, read)
    if manifest.media_type in _INDEXES:
        uri = f"{pushed.partition('@')[0]}@{_digest_of(platform, manifest)}"
        manifest = _read(uri, read)
    if manifest.media_type not in _IMAGES:
        raise _UnusableImageError(f"{uri} is {manifest.media_type}, which Lambda does not run. {_ENGINE}")
    if any("zstd" in layer for layer in manifest.layer_types):
        raise _UnusableImageError(f"{uri} has zstd layers, which Lambda does not unpack. {_ENGINE}")
    return uri


def _read(uri: str, read: Callable[[str], Manifest | None]) -> Manifest:
    manifest = read(uri)
    if manifest is None:
        raise _UnusableImageError(f"{uri} is not in ECR, where functions would look for it. Push it again:")
    return manifest


def _digest_of(platform: str, index: Manifest) -> str:
    found = [image.digest for image in index.images if image.platform == platform]
    if not found:
        platforms = ", ".join(image.platform for image in index.images)
        raise _UnusableImageError(
            f"The image that was pushed is an index of {platforms} without {platform}. {_ENGINE}"
        )
    return found[0]
