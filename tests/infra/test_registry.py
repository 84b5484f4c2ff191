"""What was pushed is looked up in ECR before a function refers to it."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pulumi
import pytest
from moto import mock_aws

from infra.account import Account
from infra.registry import Manifest, check_push, read_manifest
from tests.infra.asked import Deployed
from tests.infra.program import URIS, Deploy

DOCKER, OCI = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
INDEX = "application/vnd.oci.image.index.v1+json"
URN = "urn:pulumi:dev::hf-lambda::hf-lambda:infra:InferenceImage$docker:index/image:Image::image-full"
AGAIN = f"pulumi up --replace '{URN}'"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Registry:
    """A repository of the emulated ECR."""

    def __init__(self) -> None:
        self.ecr = boto3.client("ecr", region_name="us-east-1")
        self.uri = self.ecr.create_repository(repositoryName="hf-lambda-dev")["repository"]["repositoryUri"]

    def push(self, media_type: str, **content: Any) -> str:
        """The digest of what was pushed."""
        text = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content})
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        self.ecr.put_image(
            repositoryName="hf-lambda-dev",
            imageManifest=text,
            imageManifestMediaType=media_type,
            imageDigest=digest,
        )
        return digest

    def image(self, media_type: str = OCI, layer: str = LAYER, name: str = "a") -> str:
        blob = {"size": 1, "digest": "sha256:" + "0" * 64}
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "name": name, **blob}
        return self.push(media_type, config=config, layers=[{"mediaType": layer, **blob}])

    def index(self, **of_platform: str) -> str:
        """An index of these images; `amd64="sha256:..."`, `unknown=...` for an attestation."""
        entries = []
        for architecture, digest in of_platform.items():
            system = "unknown" if architecture == "unknown" else "linux"
            platform = {"os": system, "architecture": architecture}
            entries.append({"mediaType": OCI, "digest": digest, "size": 1, "platform": platform})
        return self.push(INDEX, manifests=entries)

    def checked(self, digest: str, platform: str = "linux/amd64", repository: str | None = None) -> str:
        """The digest that functions would refer to."""
        account = Account(region="us-east-1")
        repository = repository or self.uri
        uri = check_push(
            f"{repository}@{digest}",
            urn=URN,
            platform=platform,
            read=lambda uri: read_manifest(account, uri),
        )
        assert uri.partition("@")[0] == repository
        return uri.partition("@")[2]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        yield Registry()


@pytest.mark.parametrize("media_type", [DOCKER, OCI])
def test_a_single_platform_image_is_taken_as_it_is(registry: Registry, media_type: str):
    digest = registry.image(media_type)
    assert registry.checked(digest) == digest


def test_of_an_index_with_attestations_the_image_is_taken(registry: Registry):
    image = registry.image()
    index = registry.index(amd64=image, unknown=registry.image(name="attestation"))
    assert registry.checked(index) == image


def test_of_two_platforms_the_one_of_the_functions_is_taken(registry: Registry):
    amd64, arm64 = registry.image(name="amd64"), registry.image(name="arm64")
    index = registry.index(amd64=amd64, arm64=arm64)
    assert registry.checked(index) == amd64
    assert registry.checked(index, "linux/arm64") == arm64


def test_an_index_without_the_platform_stops_the_deployment_and_says_what_to_set(registry: Registry):
    index = registry.index(arm64=registry.image(), unknown=registry.image(name="attestation"))
    with pytest.raises(pulumi.RunError) as caught:
        registry.checked(index)
    text = str(caught.value)
    assert text.startswith(
        "The image that was pushed is an index of linux/arm64, unknown/unknown without linux/amd64."
    )
    assert '{"features": {"containerd-snapshotter": false}} in /etc/docker/daemon.json' in text
    assert text.endswith(f"and push again: {AGAIN}")


def test_zstd_layers_stop_the_deployment(registry: Registry):
    with pytest.raises(pulumi.RunError, match="has zstd layers, which Lambda does not unpack"):
        registry.checked(registry.image(layer="application/vnd.oci.image.layer.v1.tar+zstd"))


def test_an_index_within_an_index_stops_the_deployment(registry: Registry):
    inner = registry.index(amd64=registry.image())
    with pytest.raises(
        pulumi.RunError, match=r"is application/vnd\.oci\.image\.index\.v1\+json, which Lambda"
    ):
        registry.checked(registry.index(amd64=inner))


def test_an_image_that_was_deleted_from_ecr_is_named_with_the_command_that_pushes_it_again(
    registry: Registry,
):
    with pytest.raises(pulumi.RunError) as caught:
        registry.checked("sha256:" + "1" * 64)
    assert str(caught.value).endswith(
        f"is not in ECR, where functions would look for it. Push it again: {AGAIN}"
    )


def test_a_repository_that_was_deleted_is_an_image_that_was_deleted(registry: Registry):
    with pytest.raises(pulumi.RunError, match="is not in ECR"):
        registry.checked(registry.image(), repository=registry.uri.replace("hf-lambda-dev", "another"))


@pytest.mark.parametrize("pushed", [None, "", "123456789012.dkr.ecr.us-east-1.amazonaws.com/hf-lambda-dev"])
def test_a_push_that_gave_no_digest_is_named_with_the_command_that_pushes_again(pushed: str | None):
    def read(uri: str) -> Manifest:
        raise AssertionError(uri)

    with pytest.raises(pulumi.RunError) as caught:
        check_push(pushed, urn=URN, platform="linux/amd64", read=read)
    expected = "The Docker provider gave no digest for what it pushed. Push again:"
    assert str(caught.value) == f"{expected} {AGAIN}"


def test_a_refusal_of_aws_itself_is_one_sentence(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(pulumi.RunError, match=r"^ECR cannot be asked for .*: Unable to locate credentials$"):
        registry.checked(registry.image())


def test_every_image_in_use_is_looked_up_at_every_deployment(deploy: Deploy):
    asked = []

    def read(account: Account, uri: str) -> Manifest:
        asked.append((account.region, uri))
        return Manifest(OCI)

    deploy("dev", read_manifest=read)
    assert sorted(asked) == sorted(("us-east-1", uri) for uri in URIS.values())


def test_where_one_image_is_refused_no_function_is_declared(deploy: Deploy):
    def read(account: Account, uri: str) -> Manifest | None:
        return None if uri == URIS["full"] else Manifest(OCI)

    declared = Deployed()
    with pytest.raises(pulumi.RunError, match=r"image-full'$"):
        deploy("dev", read_manifest=read, registered=declared)
    assert declared.all("docker:index/image")
    assert not declared.all("lambda/function")
