"""Runs the real `__main__.py` under Pulumi's mock monitor and keeps what it asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pulumi.runtime import mocks

from infra.docker_engine import CheckEngine
from infra.existing_network import NetworkReader
from infra.registry import ManifestReader
from local.program import mock
from local.program.declare import read_config
from local.program.mock import ACCOUNT as ACCOUNT
from tests.infra.asked import Deployed

with warnings.catch_warnings():
    # Loading it warns of deprecated resources, its own, whether a program uses them or not.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pulumi_aws

    # A module loads when something of it is first used.
    loaded = (pulumi_aws.ec2.Vpc, pulumi_aws.lambda_.Function, pulumi_aws.s3.Bucket)

ROOT = Path(__file__).parents[2]
REPOSITORY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/hf-lambda"
URIS = {target: f"{REPOSITORY}@sha256:{letter * 64}" for target, letter in (("slim", "5"), ("full", "f"))}
ZONES = [f"us-east-1{letter}" for letter in "abcd"]
Deploy = Callable[..., Deployed]


class PlainAnswers(mock.Answers):
    """Ids and ARNs that a test can write down; nothing at all at a preview."""

    def __init__(self, zones: list[str], preview: bool) -> None:
        super().__init__("us-east-1", zones)
        self.preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return (None, dict(args.inputs)) if self.preview else super().new_resource(args)

    def computed(self, type_: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        _, made = super().computed(type_, name, inputs)
        made["arn"] = f"arn:aws:{type_.split(':')[1].split('/')[0]}:us-east-1:{ACCOUNT}:{name}"
        plain: dict[str, dict[str, Any]] = {
            "aws:ecr/repository:Repository": {"repositoryUrl": REPOSITORY},
            "aws:lambda/function:Function": {"version": "7"},
            "aws:lambda/functionUrl:FunctionUrl": {"functionUrl": "https://x.lambda-url.us-east-1.on.aws/"},
            "aws:s3/bucket:Bucket": {"bucket": name},
        }
        made |= plain.get(type_, {})
        if type_ == "docker:index/image:Image":
            target = inputs["build"].get("target")
            made["repoDigest"] = URIS[target] if target else f"{REPOSITORY}@sha256:{name}"
        return f"{name}-id", made


def run_program(
    root: Path,
    stack: str = "dev",
    *,
    region_zones: list[str] = ZONES,
    preview: bool = False,
    read_manifest: ManifestReader = mock.read_one_image,
    check_engine: CheckEngine = lambda architecture: None,
    read_network: NetworkReader = mock.find_what_is_asked_for,
    registered: Deployed | None = None,
    secret_keys: tuple[str, ...] = ("hfToken",),
    **keys: Any,
) -> Deployed:
    """`root`/__main__.py with Pulumi.yaml, the file of the stack and these keys; None takes a key away."""
    deployed = Deployed() if registered is None else registered
    config = {**read_config(ROOT, stack), **{full_key(key): value for key, value in keys.items()}}
    mock.run_program(
        root,
        {key: value for key, value in config.items() if value is not None},
        stack=stack,
        answers=PlainAnswers(region_zones, preview),
        secret_keys=[full_key(key) for key in secret_keys],
        preview=preview,
        read_manifest=read_manifest,
        check_engine=check_engine,
        read_network=read_network,
        registered=deployed,
    )
    return deployed


def full_key(key: str) -> str:
    """`aws__region` is aws:region; a key without a namespace is the project's."""
    return key.replace("__", ":") if "__" in key else f"hf-lambda:{key}"
