"""hf-lambda: each script in inference/ becomes a Lambda that answers from a warmed cache of models."""

from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.cache import ModelCache
from infra.docker_engine import CheckEngine, check_engine
from infra.encryption import encryption
from infra.existing_network import NetworkReader, find_network, read_network
from infra.function import InferenceFunction, RelayFunction, RemoteCodeFunction, WarmupFunction
from infra.hooks import announce_relay, endpoint_hooks, warm_after_changes
from infra.image import InferenceImage
from infra.models import CheckModels, check_models
from infra.naming import RELAY, REMOTE_CODE
from infra.network import Network
from infra.observability import Observability
from infra.registry import ManifestReader, read_manifest
from infra.role import ExecutionRole
from infra.s3_way import DOWNLOADS, ENDPOINTS, InputBucket, S3Way
from infra.safeguards import DeadLetters, Safeguards
from infra.settings import read_settings
from infra.staging import StagingBucket
from warmup.protocol.models import models_of_scripts


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

    # Roles come first: the cache's policy names them, and the network is destroyed before them.
    bound, key = settings.permissions_boundary, encryption(settings, account, opts)
    letters = DeadLetters("dead-letters", encryption=key, opts=opts) if settings.dead_letters else None
    safeguards = Safeguards(key, letters)
    warmup_role = None
    if settings.has_cache:
        warmup_role = ExecutionRole(
            "warmup",
            log_retention_days=settings.log_retention_days,
            permissions_boundary=bound,
            encryption=key,
            opts=opts,
        )
    roles = {
        name: ExecutionRole(
            name,
            log_retention_days=endpoint.log_retention_days,
            permissions_boundary=bound,
            encryption=key,
            opts=opts,
        )
        for name, endpoint in settings.endpoints.items()
    }
    code_role = None
    if settings.allow_remote_code and settings.has_cache:
        code_role = ExecutionRole(
            REMOTE_CODE,
            log_retention_days=settings.log_retention_days,
            permissions_boundary=bound,
            encryption=key,
            opts=opts,
        )
    every_role = [role for role in (warmup_role, code_role, *roles.values()) if role]
    network = staging = cache = way = None
    if settings.has_cache:
        network = Network(
            "network", settings=settings, existing=existing, roles=every_role, encryption=key, opts=opts
        )
    if network and settings.is_staged:
        staging = StagingBucket("staging", settings=settings, encryption=key, opts=opts)
    inputs = InputBucket.of(settings, account)
    if network and (staging or inputs):
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

    if network and warmup_role:
        readers = {name: role for name, role in roles.items() if name not in settings.in_image}
        writers = [name for name in readers if settings.endpoints[name].cold_download]
        cache = ModelCache(
            "cache",
            settings=settings,
            network=network,
            readers=[
                *(role for name, role in readers.items() if name not in writers),
                *([code_role] if code_role else []),
            ],
            writers=[warmup_role, *(roles[name] for name in writers)],
            encryption=key,
            opts=opts,
        )
    image = InferenceImage(
        "image",
        settings=settings,
        account=account,
        read_manifest=read_manifest,
        encryption=key,
        opts=opts,
    )

    memory_mb = {name: endpoint.memory_mb for name, endpoint in settings.endpoints.items()}
    cached = [script for script in scripts if script.name not in settings.in_image]
    start = warm_after_changes(cached, memory_mb, account) if settings.warm_on_deploy else None
    by_relay = settings.egress == "relay"
    warmup = None
    if network and cache and warmup_role:
        warmup = WarmupFunction(
            "warmup",
            settings=settings,
            image=image,
            network=network,
            staging=staging,
            way=way,
            cache=cache,
            role=warmup_role,
            safeguards=safeguards,
            hooks=announce_relay() if by_relay else start,
            opts=opts,
        )
    relay = None
    if by_relay and staging and warmup:
        relay = RelayFunction(
            RELAY,
            settings=settings,
            image=image,
            staging=staging,
            warmup=warmup,
            role=ExecutionRole(
                RELAY,
                log_retention_days=settings.log_retention_days,
                permissions_boundary=bound,
                in_vpc=False,
                encryption=key,
                opts=opts,
            ),
            safeguards=safeguards,
            hooks=start,
            opts=opts,
        )
    remote_code = None
    if code_role and network and cache:
        remote_code = RemoteCodeFunction(
            REMOTE_CODE,
            settings=settings,
            image=image,
            network=network,
            cache=cache,
            role=code_role,
            safeguards=safeguards,
            opts=opts,
        )
    streaming = {script.name for script in scripts if script.streams}
    models = {script.name: models_of_scripts([script]) for script in scripts}
    gated = settings.release == "gated"
    hooks = endpoint_hooks(settings.keep_versions, account, gated=gated)
    # A snapshot is billed for as long as its version is there.
    hooks_of_snapshots = endpoint_hooks(0, account, gated=gated, suffix="-of-snapshots")
    functions = {
        name: InferenceFunction(
            name,
            settings=settings,
            image=image,
            network=None if name in settings.in_image else network,
            cache=None if name in settings.in_image else cache,
            role=role,
            safeguards=safeguards,
            hooks=hooks_of_snapshots if settings.endpoints[name].snap_start else hooks,
            models=models[name],
            streams=name in streaming,
            inputs=inputs,
            way=way,
            opts=opts,
        )
        for name, role in roles.items()
    }
    Observability(
        "observability",
        settings=settings,
        account=account,
        functions=functions,
        warmup=warmup,
        relay=relay,
        safeguards=safeguards,
        opts=opts,
    )

    pulumi.export("functions", {name: function.arn for name, function in functions.items()})
    for name, function in functions.items():
        pulumi.export(f"{name}Arn", function.arn)
    pulumi.export(
        "functionUrls", {name: function.url for name, function in functions.items() if function.url}
    )
    if queues := {name: function.queues for name, function in functions.items() if function.queues}:
        pulumi.export("queues", queues)
    pulumi.export("memoryMb", memory_mb)
    if settings.release == "gated":
        newest = {name: function.version for name, function in functions.items()}
        pulumi.export(
            "release",
            {"versions": newest, "canary": settings.canary, "canaryMinutes": settings.canary_minutes},
        )
    if warmup:
        pulumi.export("warmupArn", warmup.arn)
    if settings.in_image:
        pulumi.export("inImage", list(settings.in_image))
    if remote_code:
        pulumi.export("warmupCodeArn", remote_code.arn)
    if cache:
        pulumi.export("cache", cache.summary)
    pulumi.export("imageUri", image.uri)
    if relay:
        pulumi.export("relayArn", relay.arn)
    elif staging:
        pulumi.export("stagingBucket", staging.name)


if __name__ == "__main__":
    deploy()
