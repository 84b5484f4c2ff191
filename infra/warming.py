"""Starts the warm-up when a deployment has changed what it would do, and does not wait for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import boto3
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from discovery import Script
from warmup.models import models_of_scripts

from .image import InferenceImage
from .settings import Account
from .warmup_function import WarmupFunction


class Warming(Resource, name="Warming"):
    """One asynchronous invocation of the warm-up for each model, so that each has its own 15 minutes.

    aws.lambda_.Invocation waits for the answer. A rule of EventBridge or a notification of S3 is active only
    some time after it was made, so the event of the first deployment - the one that matters - can be lost.
    This is one call of the API, which answers as soon as the event is queued.
    """

    def __init__(
        self,
        name: str,
        *,
        scripts: Iterable[Script],
        warmup: WarmupFunction,
        image: InferenceImage,
        account: Account,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        events = [
            json.dumps(
                {"action": "warm", "job": f"deploy-{number}", "models": model.to_event()}, sort_keys=True
            )
            for number, model in enumerate(models_of_scripts(scripts), start=1)
        ]
        changes = {"events": events, "image": image.uris["full"], "function": warmup.arn}
        super().__init__(
            Starter(), name, {**changes, "region": account.region, "profile": account.profile}, opts
        )


class Starter(ResourceProvider):
    """Invokes again when models, image or function have changed; a warm model costs a look at the cache."""

    serialize_as_secret_always = False  # it holds nothing; a secret would hide every diff

    def create(self, props: dict[str, Any]) -> CreateResult:
        start(props)
        return CreateResult(props["function"], props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        keys = ("events", "image", "function")
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in keys))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        start(_news)
        return UpdateResult(_news)


def start(props: dict[str, Any]) -> None:
    """Queues one event of the warm-up for each model."""
    client = boto3.Session(region_name=props["region"], profile_name=props.get("profile")).client("lambda")
    for event in props["events"]:
        client.invoke(FunctionName=props["function"], InvocationType="Event", Payload=event.encode())
