"""hf-lambda: each script in inference/ becomes a Lambda that answers from a warmed cache of models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from discovery import Script
from infra.account import Account
from infra.batch import BatchMachine
from infra.cache import ModelCache
from infra.docker_engine import CheckEngine, check_engine
from infra.encryption import Encryption, encryption
from infra.existing_network import ExistingNetwork, NetworkReader, find_network, read_network
from infra.function import (
    InferenceFunction,
    Mount,
    RelayFunction,
    ReleaseFunction,
    RemoteCodeFunction,
    WarmupFunction,
)
from infra.hooks import announce_relay, endpoint_hooks, release_after_changes, warm_after_changes
from infra.image import InferenceImage
from infra.models import CheckModels, check_models
from infra.naming import RELAY, RELEASE, REMOTE_CODE
from infra.network import Network
from infra.observability import Observability
from infra.registry import ManifestReader, read_manifest
from infra.role import ExecutionRole
from infra.s3_way import DOWNLOADS, ENDPOINTS, InputBucket, S3Way
from infra.safeguards import DeadLetters, Safeguards
from infra.settings import Settings, read_settings
from infra.staging import StagingBucket
from warmup.protocol.models import models_of_scripts
from warmup.protocol.records import Json


def deploy(
    read_manifest: ManifestReader = read_manifest,
    check_engine: CheckEngine = check_engine,
    read_network: NetworkReader = read_network,
    check_models: CheckModels = check_models,
) -> None:
    """Declares the stack.

    `read_manifest` looks up in ECR what was pushed; `check_engine` warns where nothing can be built;
    `read_network` looks at a network that is there; `check_models` at what an image is to be built with.
    """
    settings, account, scripts = read_settings(Path(__file__).with_name("inference"))
    check_engine(settings.architecture)
    check_models(settings, scripts)
    existing = find_network(settings, account, read_network) if settings.has_cache else None
    tags = {"project": pulumi.get_project(), "stack": pulumi.get_stack(), **settings.tags}
    provider = aws.Provider("aws", **account.provider_arguments(), default_tags={"tags": tags})
    opts = pulumi.ResourceOptions(providers=[provider])

    key = encryption(settings, account, opts)
    letters = DeadLetters("dead-letters", encryption=key, opts=opts) if settings.dead_letters else None
    safeguards = Safeguards(key, letters)
    inputs = InputBucket.of(settings, account)
    # Roles come first: the cache's policy names them, and the network is destroyed before them.
    roles = {
        name: ExecutionRole(name, settings=settings, encryption=key, opts=opts) for name in settings.endpoints
    }
    cached = None
    if settings.has_cache:
        cached = declare_cache(settings, account, existing, roles, inputs, key, opts)
    image = InferenceImage(
        "image",
        settings=settings,
        account=account,
        read_manifest=read_manifest,
        encryption=key,
        opts=opts,
    )
    warming = declare_warmup(settings, account, scripts, image, cached, safeguards, opts) if cached else None

    gated = settings.release == "gated"
    hooks = endpoint_hooks(settings.keep_versions, account, gated=gated)
    # A snapshot is billed for as long as its version is there.
    hooks_of_snapshots = endpoint_hooks(0, account, gated=gated, suffix="-of-snapshots")
    functions = {
        script.name: InferenceFunction(
            script.name,
            settings=settings,
            image=image,
            mount=cached.mount if cached and script.name not in settings.in_image else None,
            role=roles[script.name],
            safeguards=safeguards,
            hooks=hooks_of_snapshots if settings.endpoints[script.name].snap_start else hooks,
            models=models_of_scripts([script]),
            streams=script.streams,
            inputs=inputs,
            opts=opts,
        )
        for script in scripts
    }
    machines = {
        name: BatchMachine(
            f"{name}-batch",
            script=name,
            settings=settings,
            region=account.region,
            function_arn=function.arn,
            opts=opts,
        )
        for name, function in functions.items()
        if settings.endpoints[name].batch
    }
    release = None
    if settings.releases_by_itself and warming:
        release = declare_release(settings, account, functions, image, warming, safeguards, opts)
    Observability(
        "observability",
        settings=settings,
        account=account,
        functions=functions,
        warmup=warming.warmup if warming else None,
        relay=warming.relay if warming else None,
        release=release,
        safeguards=safeguards,
        opts=opts,
    )
    export(settings, image, functions, machines, cached, warming)


@dataclass(frozen=True)
class Cached:
    """The cache of a stack, and what there is for those who fill it."""

    mount: Mount
    staging: StagingBucket | None
    warmup_role: ExecutionRole
    code_role: ExecutionRole | None


@dataclass(frozen=True)
class Warming:
    """What fills the cache."""

    warmup: WarmupFunction
    relay: RelayFunction | None
    remote_code: RemoteCodeFunction | None

    @property
    def arns(self) -> dict[str, pulumi.Output[str]]:
        """By the output that names each."""
        return {
            "warmupArn": self.warmup.arn,
            **({"warmupCodeArn": self.remote_code.arn} if self.remote_code else {}),
            **({"relayArn": self.relay.arn} if self.relay else {}),
        }


def declare_cache(
    settings: Settings,
    account: Account,
    existing: ExistingNetwork | None,
    roles: Mapping[str, ExecutionRole],  # of the endpoints
    inputs: InputBucket | None,
    key: Encryption,
    opts: pulumi.ResourceOptions,
) -> Cached:
    warmup_role = ExecutionRole("warmup", settings=settings, encryption=key, opts=opts)
    code_role = None
    if settings.allow_remote_code:
        code_role = ExecutionRole(REMOTE_CODE, settings=settings, encryption=key, opts=opts)
    code_roles = [code_role] if code_role else []
    network = Network(
        "network",
        settings=settings,
        existing=existing,
        roles=[warmup_role, *code_roles, *roles.values()],
        encryption=key,
        opts=opts,
    )
    staging = way = None
    if settings.is_staged:
        staging = StagingBucket("staging", settings=settings, encryption=key, opts=opts)
    if staging or inputs:
        way = S3Way(
            "s3",
            network=network,
            account=account,
            statements=[
                *(staging.read_statements() if staging else []),
                *([inputs.statement()] if inputs else []),
            ],
            groups={
                **({DOWNLOADS: network.download_group_id} if staging or network.dual_stack else {}),
                **({ENDPOINTS: network.endpoint_group_id} if inputs else {}),
            },
            opts=opts,
        )
    mounting = {name: endpoint for name, endpoint in settings.endpoints.items() if endpoint.storage == "efs"}
    cache = ModelCache(
        "cache",
        settings=settings,
        network=network,
        readers=[
            *(roles[name] for name, endpoint in mounting.items() if not endpoint.cold_download),
            *code_roles,
        ],
        writers=[
            warmup_role,
            *(roles[name] for name, endpoint in mounting.items() if endpoint.cold_download),
        ],
        encryption=key,
        opts=opts,
    )
    return Cached(Mount(network, cache, way), staging, warmup_role, code_role)


def declare_warmup(
    settings: Settings,
    account: Account,
    scripts: Sequence[Script],
    image: InferenceImage,
    cached: Cached,
    safeguards: Safeguards,
    opts: pulumi.ResourceOptions,
) -> Warming:
    start = None
    if settings.warm_on_deploy and not settings.releases_by_itself:
        warmed = [script for script in scripts if script.name not in settings.in_image]
        start = warm_after_changes(warmed, memory_mb(settings), account)
    by_relay = settings.egress == "relay"
    warmup = WarmupFunction(
        "warmup",
        settings=settings,
        image=image,
        mount=cached.mount,
        staging=cached.staging,
        role=cached.warmup_role,
        safeguards=safeguards,
        hooks=announce_relay() if by_relay else start,
        opts=opts,
    )
    relay = remote_code = None
    if by_relay and cached.staging:
        relay = RelayFunction(
            RELAY,
            settings=settings,
            image=image,
            staging=cached.staging,
            warmup=warmup,
            role=ExecutionRole(
                RELAY, settings=settings, encryption=safeguards.encryption, in_vpc=False, opts=opts
            ),
            safeguards=safeguards,
            hooks=start,
            opts=opts,
        )
    if cached.code_role:
        remote_code = RemoteCodeFunction(
            REMOTE_CODE,
            settings=settings,
            image=image,
            mount=cached.mount,
            role=cached.code_role,
            safeguards=safeguards,
            opts=opts,
        )
    return Warming(warmup, relay, remote_code)


def declare_release(
    settings: Settings,
    account: Account,
    functions: Mapping[str, InferenceFunction],
    image: InferenceImage,
    warming: Warming,
    safeguards: Safeguards,
    opts: pulumi.ResourceOptions,
) -> ReleaseFunction:
    return ReleaseFunction(
        RELEASE,
        settings=settings,
        image=image,
        functions=functions,
        workers=warming.arns,
        gate=gate(settings, functions),
        memory_mb=memory_mb(settings),
        role=ExecutionRole(
            RELEASE, settings=settings, encryption=safeguards.encryption, in_vpc=False, opts=opts
        ),
        safeguards=safeguards,
        hooks=release_after_changes(account),
        opts=opts,
    )


def gate(settings: Settings, functions: Mapping[str, InferenceFunction]) -> dict[str, Json]:
    """What whoever releases has to know."""
    newest = {name: function.version for name, function in functions.items()}
    return {"versions": newest, "canary": settings.canary, "canaryMinutes": settings.canary_minutes}


def memory_mb(settings: Settings) -> dict[str, int]:
    return {name: endpoint.memory_mb for name, endpoint in settings.endpoints.items()}


def export(
    settings: Settings,
    image: InferenceImage,
    functions: Mapping[str, InferenceFunction],
    machines: Mapping[str, BatchMachine],
    cached: Cached | None,
    warming: Warming | None,
) -> None:
    """The outputs that warmup/protocol/outputs.py reads."""
    pulumi.export("functions", {name: function.arn for name, function in functions.items()})
    for name, function in functions.items():
        pulumi.export(f"{name}Arn", function.arn)
    pulumi.export(
        "functionUrls", {name: function.url for name, function in functions.items() if function.url}
    )
    if queues := {name: function.queues for name, function in functions.items() if function.queues}:
        pulumi.export("queues", queues)
    pulumi.export("memoryMb", memory_mb(settings))
    if settings.release == "gated":
        pulumi.export("release", gate(settings, functions))
    if machines:
        arns = {name: machine.arn for name, machine in machines.items()}
        pulumi.export("batch", {"bucket": settings.batch_bucket, "machines": arns})
    pulumi.export("imageUri", image.uri)
    if settings.in_image:
        pulumi.export("inImage", list(settings.in_image))
    if cached:
        pulumi.export("cache", cached.mount.cache.summary)
    if warming:
        for name, arn in warming.arns.items():
            pulumi.export(name, arn)
        if not warming.relay and cached and cached.staging:
            pulumi.export("stagingBucket", cached.staging.name)


if __name__ == "__main__":
    deploy()
