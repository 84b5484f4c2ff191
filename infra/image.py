"""The container image: built from inference/Dockerfile, pushed to ECR, referenced by digest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from hf_lambda.records import Json

from .account import Account
from .build_context import content_tag
from .docker_engine import no_emulator
from .encryption import Encryption, keep_key
from .hooks import explain_error, explain_taken_name, free_tags
from .models import MODELS
from .naming import repository_name
from .registry import ManifestReader, check_push
from .settings import Settings

_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_SPARE = 30
"""Images that are kept beside those that a function or a published version of it may run: only after this
many pushes whose deployment failed could a digest that is still in use be among those that expire."""


class InferenceImage(pulumi.ComponentResource):
    """ECR repository, and in it one image for each target of inference/Dockerfile that is used.

    pulumi-docker has no switch for attestations, and what the engine pushes depends on its image store: so at
    every deployment each image is looked up in ECR before a function refers to it (see registry.py).
    """

    uris: Mapping[str, pulumi.Output[str]]
    """Target -> `<repository>@sha256:...`, never a tag: a function would not notice that a tag has moved.

    All come from one output: where one image is refused, no function has changed.
    """
    uri: pulumi.Output[str]
    """The one that most endpoints use."""
    endpoint_uris: Mapping[str, pulumi.Output[str]]
    """Endpoint -> its own image, for those whose models are in it. They too come from one output."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        account: Account,
        read_manifest: ManifestReader,
        encryption: Encryption,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:InferenceImage", name, None, opts)
        self._name = name
        self._settings, self._account = settings, account
        self._repository = self._make_repository(settings, encryption)
        self._architecture = settings.architecture
        self._platform = _PLATFORMS[settings.architecture]
        self._build_args = settings.keep_secret("buildArgs", dict(settings.build_args))
        usage = Counter(endpoint.image for endpoint in settings.endpoints.values())
        registry = self._registry()
        images: dict[str, docker.Image] = {}
        for target in sorted({*usage, "full"}, reverse=True):  # slim, then full, which shares its base layers
            images[target] = self._build(target, registry, after=list(images.values()))
        checked = pulumi.Output.all(
            **{target: self._checked(image, account, read_manifest) for target, image in images.items()}
        )
        self.uris = {target: checked[target] for target in images}
        self.uri = self.uris[usage.most_common(1)[0][0]]
        own: dict[str, docker.Image] = {}
        for endpoint in settings.in_image:
            own[endpoint] = self._build_with_models(
                endpoint, settings, registry, after=[*images.values(), *own.values()]
            )
        own_checked = pulumi.Output.all(
            **{endpoint: self._checked(image, account, read_manifest) for endpoint, image in own.items()}
        )
        self.endpoint_uris = {endpoint: own_checked[endpoint] for endpoint in own}
        self.register_outputs({"uris": {**self.uris, **self.endpoint_uris}})

    def _checked(
        self, image: docker.Image, account: Account, read_manifest: ManifestReader
    ) -> pulumi.Output[str]:
        def check(made: list[str]) -> str:
            urn, pushed = made
            return check_push(
                pushed, urn=urn, platform=self._platform, read=lambda uri: read_manifest(account, uri)
            )

        return pulumi.Output.all(image.urn, image.repo_digest).apply(check)

    def _make_repository(self, settings: Settings, encryption: Encryption) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            self._name,
            name=repository_name(),
            image_scanning_configuration={"scan_on_push": True},
            image_tag_mutability="IMMUTABLE" if settings.immutable_tags else "MUTABLE",
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": encryption.key_arn}]
            if encryption.key_arn is not None
            else None,
            tags=encryption.tags,
            force_delete=not settings.protect,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=settings.protect,
                ignore_changes=["encryptionConfigurations"],
                hooks=pulumi.ResourceHookBinding.merge(
                    explain_taken_name(repository_name()), keep_key("images")
                ),
            ),
        )
        aws.ecr.LifecyclePolicy(
            self._name,
            repository=repository.id,
            policy=pulumi.Output.json_dumps(
                {
                    "rules": [
                        _untagged_rule(settings),
                        *(_tagged_rules(settings) if settings.immutable_tags else []),
                    ]
                }
            ),
            # It is replaced where it changes, and a repository has one: to delete the old one last would
            # delete the new one.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        return repository

    def _registry(self) -> docker.RegistryArgs:
        token = aws.ecr.get_authorization_token_output(
            registry_id=self._repository.registry_id, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        return docker.RegistryArgs(
            server=self._repository.repository_url,
            username=pulumi.Output.secret(token.user_name),
            password=pulumi.Output.secret(token.password),
        )

    def _build(
        self, target: str, registry: docker.RegistryArgs, *, after: list[docker.Image]
    ) -> docker.Image:
        return docker.Image(
            f"{self._name}-{target}",
            image_name=pulumi.Output.concat(self._repository.repository_url, ":", self._tag(target)),
            build=docker.DockerBuildArgs(
                context=".",
                dockerfile="inference/Dockerfile",
                target=target,
                platform=self._platform,
                # The Dockerfile mounts caches, which the old builder cannot.
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
                args=self._build_args,
            ),
            build_on_preview=False,
            registry=registry,
            # One after the other: the second finds the layers that they share.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                hooks=pulumi.ResourceHookBinding.merge(
                    explain_error(
                        f"explain-emulation-{target}", "exec format error", no_emulator(self._architecture)
                    ),
                    free_tags(target, self._account) if self._settings.immutable_tags else None,
                ),
            ),
        )

    def _build_with_models(
        self,
        endpoint: str,
        settings: Settings,
        registry: docker.RegistryArgs,
        *,
        after: list[docker.Image],
    ) -> docker.Image:
        """The image of `endpoint` on top of one of the others; only the folder of its models is sent."""
        of = settings.endpoints[endpoint]
        return docker.Image(
            f"{self._name}-models-{endpoint}",
            image_name=pulumi.Output.concat(
                self._repository.repository_url, ":", _models_tag(endpoint, settings.immutable_tags)
            ),
            build=docker.DockerBuildArgs(
                context=f"{MODELS}/{endpoint}",
                dockerfile="inference/models.Dockerfile",
                network="none",  # whoever fetched has verified: here nothing more is to come
                platform=self._platform,
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
                args={
                    "BASE_IMAGE": self.uris[of.image],
                    "FULL_IMAGE": self.uris["full"],
                    "ENDPOINT": endpoint,
                    "MEMORY_MB": str(of.memory_mb),
                    "TOLERANCE": json.dumps(settings.tolerance.model_dump(by_alias=True, exclude_none=True)),
                },
            ),
            build_on_preview=False,
            registry=registry,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                hooks=free_tags(f"models-{endpoint}", self._account) if settings.immutable_tags else None,
            ),
        )

    def _tag(self, target: str) -> str:
        if not self._settings.immutable_tags:
            return target
        return content_tag(target, self._platform, self._settings.build_args)


def _models_tag(endpoint: str, immutable: bool) -> str:
    """Immutable, it is the newest's alone: `free_tags` names those before it by their digests.

    With a sign that no endpoint's name has, so that no tag of one begins as those of another.
    """
    return f"models-{endpoint}{'.newest' if immutable else ''}"


def _untagged_rule(settings: Settings) -> dict[str, Json]:
    """Where tags move, versions that are published refer to images that newer ones have replaced.

    A deployment may replace all of them, and they are in one repository.
    """
    built = len(("slim", "full", *settings.in_image))
    kept = _SPARE + _generations(settings) * built
    return _keep(1, f"Keep the last {kept} images that a newer one replaced", kept, tagStatus="untagged")


def _generations(settings: Settings) -> int:
    """Versions that are kept, the one that is served and the one that comes, each with its own image."""
    return settings.keep_versions + 2


def _tagged_rules(settings: Settings) -> list[dict[str, Json]]:
    """Versions that are published refer to the newest images of a target, one each at most."""
    kept = _SPARE + _generations(settings)
    prefixes = ["slim-", "full-", *(f"models-{endpoint}." for endpoint in sorted(settings.in_image))]
    return [
        _keep(
            priority,
            f"Keep the last {kept} images {prefix}*: those of published versions are among them",
            kept,
            tagStatus="tagged",
            tagPrefixList=[prefix],
        )
        for priority, prefix in enumerate(prefixes, start=2)
    ]


def _keep(priority: int, description: str, number: int, **selection: Json) -> dict[str, Json]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": number},
        "action": {"type": "expire"},
    }
