"""What a deployment does around the changes of a resource."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
from botocore.exceptions import ClientError

from discovery import Script
from warmup.cli.stack import invoke_when_ready
from warmup.cli.versions import ALIAS, version_before
from warmup.protocol.events import JobsEvent, ModelEvent, ReleaseEvent
from warmup.protocol.models import models_of_scripts
from warmup.protocol.records import Json

from .account import Account
from .registry import MEDIA_TYPES


def warm_after_changes(
    scripts: Iterable[Script], memory_mb: Mapping[str, int], account: Account
) -> pulumi.ResourceHookBinding:
    """For the function of the warm-up, or its relay: starts it when new or changed, without waiting for it.

    A relay starts the warm-up when it is done.

    Scripts and their models are in its image, so a change of them changes the function too. One asynchronous
    invocation for each model, so that each has its own 15 minutes. aws.lambda_.Invocation waits for the
    answer; a rule of EventBridge is active only some time after it was made, so that the event of the first
    deployment - the one that matters - can be lost.
    """
    events = warm_events(scripts, memory_mb)

    def start(args: pulumi.ResourceHookArgs) -> None:
        queue((args.new_outputs or {})["arn"], events, account)

    # An error would fail the deployment and take the outputs of the stack away.
    hook = pulumi.ResourceHook("start-warmup", start, pulumi.ResourceHookOptions(ignore_errors=True))
    return pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook])


def release_after_changes(account: Account) -> pulumi.ResourceHookBinding:
    """For the function that releases: starts it when new or changed, without waiting for it.

    What it releases is in its environment, so a new version of an endpoint changes the function too.
    """

    def start(args: pulumi.ResourceHookArgs) -> None:
        start_release((args.new_outputs or {})["arn"], account)

    hook = pulumi.ResourceHook("start-release", start, pulumi.ResourceHookOptions(ignore_errors=True))
    return pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook])


def warm_events(scripts: Iterable[Script], memory_mb: Mapping[str, int]) -> list[ModelEvent]:
    """What the warm-up is asked for, as the command would ask: one event for each model.

    memory_mb: of the functions, by script.
    """
    models = models_of_scripts(scripts, memory_mb)
    return [
        ModelEvent(models=(model,), job=f"deploy-{number}") for number, model in enumerate(models, start=1)
    ]


def queue(function_arn: str, events: Iterable[ModelEvent], account: Account) -> None:
    """Hands the events to Lambda, which answers as soon as they are queued.

    A function that is just there may not reach its file system yet, and nobody hears of an event that was
    lost by that. So it is asked something first, with an answer.
    """
    client = account.client("lambda")
    question = JobsEvent(("deploy",)).to_json()
    answered = invoke_when_ready(client, function_arn, json.dumps(question).encode(), LogType="Tail")
    if answered.failure:
        raise pulumi.RunError(f"the warm-up cannot start: {answered.failure}")
    for event in events:
        client.invoke(
            FunctionName=function_arn, InvocationType="Event", Payload=json.dumps(event.to_json()).encode()
        )


def start_release(function_arn: str, account: Account) -> None:
    """Lambda keeps the event, and sends it again where the function fails."""
    event = json.dumps(ReleaseEvent().to_json()).encode()
    account.client("lambda").invoke(FunctionName=function_arn, InvocationType="Event", Payload=event)


def announce_relay() -> pulumi.ResourceHookBinding:
    """For the function of the warm-up: says what `egress: relay` changes of a stack."""

    def announce(args: pulumi.ResourceHookArgs) -> None:
        if not _is_staged(args.old_inputs or {}):
            pulumi.log.warn(
                "egress is relay now: models come through S3, and the way of this network to the internet "
                "(NAT gateway, addresses, internet gateway) goes. To keep it: pulumi config set egress nat"
            )

    options = pulumi.ResourceHookOptions(on_dry_run=True, ignore_errors=True)
    hook = pulumi.ResourceHook("announce-relay", announce, options)
    return pulumi.ResourceHookBinding(before_update=[hook])


def _is_staged(inputs: Mapping[str, Json]) -> bool:
    """Whether the function took models from a bucket."""
    return "STAGING_BUCKET" in ((inputs.get("environment") or {}).get("variables") or {})


@dataclass(frozen=True)
class EndpointHooks:
    """For the resources of every endpoint."""

    function: pulumi.ResourceHookBinding
    alias: pulumi.ResourceHookBinding
    url: pulumi.ResourceHookBinding


def endpoint_hooks(
    keep_versions: int, account: Account, *, gated: bool = False, suffix: str = ""
) -> EndpointHooks:
    """`keep_versions`: published versions that stay beside those that the alias serves, and the newest.

    gated: the alias is moved by whoever releases, so that what is published waits. `suffix`: of the hooks'
    names, which a program can give once.
    """

    def refuse(args: pulumi.ResourceHookArgs) -> None:
        old, new = args.old_inputs or {}, args.new_inputs or {}
        if gated:
            refuse_left_subnets(args.id, old, new)
        else:
            refuse_shared_subnets(args.id, old, new, account)

    def delete(args: pulumi.ResourceHookArgs) -> None:
        delete_versions((args.new_outputs or {})["functionName"], keep_versions, account)

    def published(args: pulumi.ResourceHookArgs) -> None:
        made = args.new_outputs or {}
        announce_version(made["name"], made["version"], account)
        delete_versions(made["name"], keep_versions, account)

    def announce(args: pulumi.ResourceHookArgs) -> None:
        pulumi.log.info(
            f"{args.name} gets a new HTTPS address; if it had one before, tell its callers: that one goes. "
            "See `pulumi stack output functionUrls`"
        )

    guard = pulumi.ResourceHook(f"keep-subnets{suffix}", refuse, pulumi.ResourceHookOptions(on_dry_run=True))
    # What is left behind costs nothing and is deleted next time; an error would fail the deployment.
    ignoring = pulumi.ResourceHookOptions(ignore_errors=True)
    cleanup = pulumi.ResourceHook(f"delete-old-versions{suffix}", delete, ignoring)
    notice = pulumi.ResourceHook(f"announce-address{suffix}", announce, ignoring)
    waiting = pulumi.ResourceHook(f"announce-version{suffix}", published, ignoring)
    return EndpointHooks(
        function=pulumi.ResourceHookBinding(before_update=[guard], after_update=[waiting] if gated else None),
        alias=pulumi.ResourceHookBinding(after_create=[cleanup], after_update=[cleanup]),
        url=pulumi.ResourceHookBinding(after_create=[notice]),
    )


def explain_error(name: str, sign: str, text: str) -> pulumi.ResourceHookBinding:
    """Adds `text` to an error of AWS that has `sign` in it; `name` is the hook's."""

    def explain(args: pulumi.ErrorHookArgs) -> bool:
        if any(sign in error for error in args.errors):
            pulumi.log.error(text)
        return False  # trying again would not help

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(name, explain)])


def explain_taken_name(name: str) -> pulumi.ResourceHookBinding:
    """For a resource whose `name` is unique in an account and region, and made from the stack's."""
    return explain_error(
        f"explain-taken-{name}",
        "AlreadyExists",
        f"{name} is in this account and region already, and not of this stack: another stack of this name "
        "made it, or left it behind. Give this stack another name, or delete what is there",
    )


def announce_version(function_name: str, version: str, account: Account) -> None:
    """Says which version serves, where it is not the one that was just published."""
    serving = account.client("lambda").get_alias(FunctionName=function_name, Name=ALIAS)["FunctionVersion"]
    if serving != version:
        pulumi.log.info(
            f"{function_name}: version {serving} serves, version {version} waits for `python -m warmup "
            f"--stack {pulumi.get_stack()}`, which asks it and lets it serve"
        )


def free_tags(target: str, account: Account) -> pulumi.ResourceHookBinding:
    """For an image in a repository whose tags cannot be moved: lets what is built again be pushed again.

    A revert builds what was built before, and no two builds are alike to the bit; ECR refuses even the same
    image under the same tag (https://github.com/aws/containers-roadmap/issues/2380).
    """

    def free(args: pulumi.ResourceHookArgs) -> None:
        uri, _, tag = str((args.new_inputs or {})["imageName"]).rpartition(":")
        free_tag(uri.partition("/")[2], tag, account)

    hook = pulumi.ResourceHook(f"free-tag-of-{target}", free)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def free_tag(repository: str, tag: str, account: Account) -> None:
    """Gives the image that has `tag` a longer one, of its digest, in its place.

    Published versions may refer to it by its digest, and without any tag it would be deleted.
    """
    client = account.client("ecr")
    asked = {"repositoryName": repository, "imageIds": [{"imageTag": tag}]}
    answer = client.batch_get_image(**asked, acceptedMediaTypes=[*MEDIA_TYPES])
    for image in answer["images"]:
        digest = image["imageId"]["imageDigest"].partition(":")[2]
        # It has the tag already where what came after it was stopped, and begins again.
        with contextlib.suppress(client.exceptions.ImageAlreadyExistsException):
            client.put_image(
                repositoryName=repository,
                imageManifest=image["imageManifest"],
                imageManifestMediaType=image["imageManifestMediaType"],
                imageTag=f"{tag}-{digest[:_SHOWN]}",
            )
        client.batch_delete_image(**asked)


_SHOWN = 12
"""Digits of a digest in a tag."""


def delete_versions(function_name: str, keep: int, account: Account) -> None:
    """Deletes versions that no alias serves: those beyond the newest `keep`, and those in other subnets.

    Never the newest of all, which may wait to be released.

    A published version keeps the network interfaces of the subnets that it was published with, so a subnet
    that the function has left could otherwise not be deleted:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    client = account.client("lambda")
    listed = client.get_paginator("list_versions_by_function").paginate(FunctionName=function_name)
    subnets = {each["Version"]: _subnets(each) for page in listed for each in page["Versions"]}
    current = subnets.pop("$LATEST")
    served: set[str] = set()
    before: set[str | None] = set()
    for page in client.get_paginator("list_aliases").paginate(FunctionName=function_name):
        for alias in page["Aliases"]:
            served |= {alias["FunctionVersion"], *_weighed(alias)}
            before.add(version_before(alias))
    served |= {*sorted(subnets, key=int)[-1:]}
    spare = sorted(subnets.keys() - served, key=int, reverse=True)
    for place, version in enumerate(spare):
        is_spare = place >= keep and version not in before  # a rollback leads there
        if is_spare or not subnets[version] <= current:
            client.delete_function(FunctionName=function_name, Qualifier=version)


def refuse_shared_subnets(
    function_name: str, old: Mapping[str, Json], new: Mapping[str, Json], account: Account
) -> None:
    """Raises RunError where the function leaves a subnet while the alias serves two versions.

    The older one of them would keep the subnet, and its deletion would fail after 45 minutes.
    """
    left = _subnets_of_inputs(old) - _subnets_of_inputs(new)
    if not left:
        return
    client = account.client("lambda")
    try:
        alias = client.get_alias(FunctionName=function_name, Name=ALIAS)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return
        raise
    if weighed := _weighed(alias):
        versions = ", ".join(sorted({alias["FunctionVersion"], *weighed}, key=int))
        raise pulumi.RunError(
            f"{function_name} is to leave {', '.join(sorted(left))} while `{ALIAS}` serves versions "
            f"{versions}, which stay there. Let it serve one version, then run `pulumi up` again."
        )


def refuse_left_subnets(function_name: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
    """Raises RunError where the function leaves a subnet while its alias stays with a version in it."""
    if left := _subnets_of_inputs(old) - _subnets_of_inputs(new):
        raise pulumi.RunError(
            f"{function_name} is to leave {', '.join(sorted(left))}, and with release gated `{ALIAS}` goes "
            "on serving the version that is there, which keeps the subnet. For this deployment: pulumi "
            "config set release direct"
        )


def _subnets(configuration: Mapping[str, Json]) -> set[str]:
    return {*configuration.get("VpcConfig", {}).get("SubnetIds", [])}


def _subnets_of_inputs(inputs: Mapping[str, Json]) -> set[str]:
    found = (inputs.get("vpcConfig") or {}).get("subnetIds") or []
    return {each for each in found if isinstance(each, str)}  # at a preview, new ones are not known


def _weighed(alias: Mapping[str, Json]) -> set[str]:
    return {*(alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})}
