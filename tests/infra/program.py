"""Runs the real `__main__.py` under Pulumi's mock monitor and keeps what it asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.runtime import mocks, rpc, set_all_config
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func

from tests.infra.asked import Asked, Deployed

with warnings.catch_warnings():
    # Loading it warns of deprecated resources, its own, whether a program uses them or not.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pulumi_aws

    # A module loads when something of it is first used.
    loaded = (pulumi_aws.ec2.Vpc, pulumi_aws.lambda_.Function, pulumi_aws.s3.Bucket)

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/hf-lambda"
URIS = {target: f"{REPOSITORY}@sha256:{letter * 64}" for target, letter in (("slim", "5"), ("full", "f"))}
ZONES = [f"us-east-1{letter}" for letter in "abcd"]


class Answers(mocks.Mocks):
    """What AWS would compute, as plain as it can be."""

    def __init__(self, zones: list[str], preview: bool) -> None:
        self.zones, self.preview = zones, preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if self.preview:
            return None, dict(args.inputs)
        kind = args.typ.split(":")[1].split("/")[0]
        made: dict[str, Any] = {"arn": f"arn:aws:{kind}:us-east-1:{ACCOUNT}:{args.name}"}
        if args.typ == "aws:ecr/repository:Repository":
            made |= {"repositoryUrl": REPOSITORY, "registryId": ACCOUNT}
        elif args.typ == "docker:index/image:Image":
            made |= {"repoDigest": URIS[args.inputs["build"]["target"]]}
        elif args.typ == "aws:ec2/vpc:Vpc":
            made |= {"ipv6CidrBlock": "2600:1f18::/56"}
        elif args.typ == "aws:lambda/function:Function":
            made |= {"version": "7"}
        elif args.typ == "aws:lambda/functionUrl:FunctionUrl":
            made |= {"functionUrl": "https://x.lambda-url.us-east-1.on.aws/"}
        elif args.typ == "aws:ec2/vpcEndpoint:VpcEndpoint":
            made |= {"prefixListId": "pl-1"}
        elif args.typ == "aws:s3/bucket:Bucket":
            made |= {"bucket": args.name}
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args: mocks.MockCallArgs) -> Any:
        known: dict[str, dict[str, Any]] = {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                "names": self.zones,
                "zoneIds": self.zones,
            },
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "s3cret"},
        }
        return {"id": "x", **known[args.token]}


class Monitor(mocks.MockMonitor):
    """Keeps the whole requests: Pulumi's own mock forgets parents, dependencies, protection and outputs."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers)
        self.deployed = Deployed()

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        with loop_of_this_thread():
            return super().Invoke(request)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        with loop_of_this_thread():
            response = super().RegisterResource(request)
        inputs = rpc.deserialize_properties(request.object)
        self.deployed.resources.append(
            Asked(
                request.type,
                request.name,
                response.urn,
                inputs,
                request.object,
                frozenset(request.dependencies),
                request.parent,
                request.provider,
                request.protect,
            )
        )
        return response


@contextlib.contextmanager
def loop_of_this_thread() -> Iterator[None]:
    """Pulumi's mock makes an event loop in each thread that it is called in, and leaves it open."""
    if threading.current_thread() is threading.main_thread():
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


Deploy = Callable[..., Deployed]


def run_program(
    root: Path, stack: str = "dev", *, zones: list[str] = ZONES, preview: bool = False, **keys: Any
) -> Deployed:
    """`root`/__main__.py with Pulumi.yaml, the file of the stack and these keys; None takes a key away."""
    config = {**config_of(stack), **{full_key(key): value for key, value in keys.items()}}
    texts = {key: as_text(value) for key, value in config.items() if value is not None}
    answers = Answers(zones, preview)
    monitor = Monitor(answers)

    async def program() -> None:
        # All in one loop: what the mocks start must end in the loop that it was started in.
        mocks.set_mocks(answers, project="hf-lambda", stack=stack, preview=preview, monitor=monitor)
        set_all_config(texts, secret_keys=["hf-lambda:hfToken"])
        await run_pulumi_func(lambda: runpy.run_path(str(root / "__main__.py")).get("nothing"))
        for key, value in cast(Stack, get_root_resource()).outputs.items():
            monitor.deployed.outputs[key] = await pulumi.Output.from_input(value).future()

    asyncio.run(program())
    return monitor.deployed


def full_key(key: str) -> str:
    """`aws__region` is aws:region; a key without a namespace is the project's."""
    return key.replace("__", ":") if "__" in key else f"hf-lambda:{key}"


def config_of(stack: str) -> dict[str, Any]:
    """What the CLI hands over: the defaults of Pulumi.yaml, then the file of the stack."""
    config = {}
    for key, spec in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].items():
        config[key if ":" in key else f"hf-lambda:{key}"] = spec.get("default", spec.get("value"))
    path = ROOT / f"Pulumi.{stack}.yaml"
    return {**config, **(yaml.safe_load(path.read_text())["config"] if path.exists() else {})}


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
