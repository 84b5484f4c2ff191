"""What was pushed is looked up in ECR before a function refers to it."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pulumi.dynamic.dynamic import serialize_provider

from infra.manifest import ManifestChecker, UnusableImageError
from tests.infra.program import ROOT

DOCKER, OCI = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
INDEX = "application/vnd.oci.image.index.v1+json"
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

    def checked(self, digest: str, platform: str = "linux/amd64") -> str:
        """The digest that functions would refer to."""
        props = {"pushed": f"{self.uri}@{digest}", "uri": "", "platform": platform, "region": "us-east-1"}
        outs = ManifestChecker().create({**props, "profile": None}).outs or {}
        repository, _, found = outs["uri"].partition("@")
        assert repository == self.uri
        return str(found)


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
    with pytest.raises(UnusableImageError) as caught:
        registry.checked(index)
    text = str(caught.value)
    assert text.startswith(
        "The image that was pushed is an index of linux/arm64, unknown/unknown without linux/amd64."
    )
    assert '{"features": {"containerd-snapshotter": false}} in /etc/docker/daemon.json' in text
    assert text.endswith("run `pulumi up` again.")


def test_zstd_layers_stop_the_deployment(registry: Registry):
    with pytest.raises(UnusableImageError, match="has zstd layers, which Lambda does not unpack"):
        registry.checked(registry.image(layer="application/vnd.oci.image.layer.v1.tar+zstd"))


def test_an_index_within_an_index_stops_the_deployment(registry: Registry):
    inner = registry.index(amd64=registry.image())
    with pytest.raises(
        UnusableImageError, match=r"is application/vnd\.oci\.image\.index\.v1\+json, which Lambda"
    ):
        registry.checked(registry.index(amd64=inner))


def test_what_is_not_in_ecr_stops_the_deployment(registry: Registry):
    with pytest.raises(UnusableImageError, match="is not in ECR after the push"):
        registry.checked("sha256:" + "1" * 64)


def test_it_looks_again_when_the_digest_the_platform_or_the_region_has_changed():
    checker, old = (
        ManifestChecker(),
        {"pushed": "r@1", "uri": "r@2", "platform": "linux/amd64", "region": "x"},
    )
    # Where the image was taken out of an index, `uri` differs from what was pushed, and that is no change.
    assert checker.diff("id", old, {**old, "uri": "r@1"}).changes is False
    for key in ("pushed", "platform", "region"):
        assert checker.diff("id", old, {**old, key: "other"}).changes is True


def test_an_update_gives_the_new_image(registry: Registry):
    digest = registry.image()
    new = {"pushed": f"{registry.uri}@{digest}", "uri": "", "platform": "linux/amd64", "region": "us-east-1"}
    outs = ManifestChecker().update("id", {}, {**new, "profile": None}).outs or {}
    assert outs["uri"] == f"{registry.uri}@{digest}"


@pytest.mark.parametrize("provider", ["infra.manifest.ManifestChecker", "infra.warming.Starter"])
def test_pulumi_can_load_the_provider_in_its_own_process(provider: str, tmp_path: Path):
    """Pulumi starts it in the project's folder, and has nothing but the pickled object."""
    module, _, name = provider.rpartition(".")
    pickled = serialize_provider(getattr(__import__(module, fromlist=[name]), name)())
    (tmp_path / "load.py").write_text(
        "import base64, dill, sys\nsys.path.insert(0, '.')\n"
        "print(type(dill.loads(base64.b64decode(sys.argv[1]))).__name__)\n"
    )
    command = [sys.executable, str(tmp_path / "load.py"), pickled]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name
    assert base64.b64decode(pickled)
