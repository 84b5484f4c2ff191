"""What a deployment does after a resource was made or changed."""

from __future__ import annotations

import json
from collections.abc import Iterable

import boto3
import pulumi

from discovery import Script
from warmup.protocol.events import ModelEvent
from warmup.protocol.models import models_of_scripts

from .settings import Account


def warm_after_changes(scripts: Iterable[Script], account: Account) -> pulumi.ResourceHookBinding:
    """For the function of the warm-up: starts it when it is new or changed, without waiting for it.

    Scripts and their models are in its image, so a change of them changes the function too. One asynchronous
    invocation for each model, so that each has its own 15 minutes. aws.lambda_.Invocation waits for the
    answer; a rule of EventBridge is active only some time after it was made, so that the event of the first
    deployment - the one that matters - can be lost.
    """
    events = warm_events(scripts)

    def start(args: pulumi.ResourceHookArgs) -> None:
        queue((args.new_outputs or {})["arn"], events, account)

    # An error would fail the deployment and take the outputs of the stack away.
    hook = pulumi.ResourceHook("start-warmup", start, pulumi.ResourceHookOptions(ignore_errors=True))
    return pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook])


def warm_events(scripts: Iterable[Script]) -> list[ModelEvent]:
    """What the warm-up is asked for, as the command would ask: one event for each model."""
    models = models_of_scripts(scripts)
    return [
        ModelEvent(models=(model,), job=f"deploy-{number}") for number, model in enumerate(models, start=1)
    ]


def queue(function_arn: str, events: Iterable[ModelEvent], account: Account) -> None:
    """Hands the events to Lambda, which answers as soon as they are queued."""
    client = boto3.Session(region_name=account.region, profile_name=account.profile).client("lambda")
    for event in events:
        client.invoke(
            FunctionName=function_arn, InvocationType="Event", Payload=json.dumps(event.to_json()).encode()
        )
