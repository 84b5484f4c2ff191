"""Pulumi's mock monitor: runs the real program, answers in AWS's place and keeps what was registered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import runpy
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import get_root_resource, mocks, rpc, set_all_config
from pulumi.runtime.proto import provider_pb2, resource_pb2
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import Stack, run_pulumi_func

from hf_lambda.records import Json
from infra.account import Account
from infra.docker_engine import CheckEngine
from infra.existing_network import FileSystem, FoundNetwork, NetworkReader, Route, Subnet, Vpc
from infra.models import CheckModels
from infra.registry import Manifest, ManifestReader
from infra.settings import Settings

ACCOUNT = "123456789012"
PROJECT = "hf-lambda"


@dataclass(frozen=True)
class Resource:
    """One resource as the program registered it, and what it was answered."""

    type: str
    name: str
    id: str
    urn: str
    inputs: dict[str, Json]
    outputs: dict[str, Json]
    wire: Json
    """Inputs as they were sent, where secrets are still marked."""
    dependencies: frozenset[str]
    parent: str
    provider: str
    protect: bool
    ignored: frozenset[str]
    """Inputs whose changes are ignored."""
    hooks: frozenset[tuple[str, str]]
    """(when, name of the hook), such as ("after_create", "start-warmup")."""

    def policy(self, key: str = "policy") -> list[dict[str, Json]]:
        """The statements of an IAM policy that is an input as JSON."""
        statements: list[dict[str, Json]] = json.loads(self.inputs[key])["Statement"]
        return statements


@dataclass
class Registrations:
    """What one run of the program registered, in no particular order, and its stack outputs."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Json] = field(default_factory=dict)
    hooks: dict[str, Json] = field(default_factory=dict)
    """Resource hooks by name, as they were sent. The mock calls none of them."""
    warnings: list[str] = field(default_factory=list)
    """What the program warned of (`pulumi.log.warn`)."""


class Answers(mocks.Mocks):
    """What AWS would compute: ids, ARNs, and the other outputs that the program's next steps refer to."""

    def __init__(self, region: str, zones: Collection[str]) -> None:
        self.region, self.zones = region, list(zones)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Json]]:
        inputs = _in_clear(args.inputs)
        id_, computed = self.computed(args.typ, args.name, inputs)
        # An input that is given as None must not hide what AWS computes for it.
        given = {key: value for key, value in inputs.items() if value or key not in computed}
        return id_, {**computed, **given}

    def computed(self, type_: str, name: str, inputs: Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
        """Id and computed outputs of a resource. Ids are the name given, else Pulumi's and seven digits."""
        kind = type_.rpartition(":")[2]
        suffix = hashlib.sha256(f"{type_} {name}".encode()).hexdigest()[:7]
        id_ = str(inputs.get("name") or f"{name}-{suffix}")
        arn = f"arn:aws:{type_.split(':')[1].split('/')[0]}:{self.region}:{ACCOUNT}:{kind}/{id_}"
        made: dict[str, Json] = {"name": id_, "arn": arn}
        function = f"arn:aws:lambda:{self.region}:{ACCOUNT}:function"
        match type_:
            case "aws:lambda/function:Function":
                made |= {"arn": f"{function}:{id_}", "version": "1"}
            case "aws:lambda/alias:Alias":
                made["arn"] = f"{function}:{inputs['functionName']}:{id_}"
            case "aws:lambda/functionUrl:FunctionUrl":
                made["functionUrl"] = f"https://{inputs['functionName']}.invalid/"
            case "aws:ecr/repository:Repository":
                url = f"{ACCOUNT}.dkr.ecr.{self.region}.amazonaws.com/{id_}"
                made |= {"repositoryUrl": url, "registryId": ACCOUNT}
            case "docker:index/image:Image":
                digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
                made["repoDigest"] = f"{str(inputs['imageName']).rpartition(':')[0]}@{digest}"
            case "aws:ec2/vpc:Vpc":
                made["ipv6CidrBlock"] = "2600:1f18::/56"
            case "aws:ec2/vpcEndpoint:VpcEndpoint":
                made["prefixListId"] = "pl-1"
            case "aws:s3/bucket:Bucket":
                made["bucket"] = id_
            case "aws:sqs/queue:Queue":
                made["url"] = f"https://sqs.{self.region}.amazonaws.com/{ACCOUNT}/{id_}"
            case "aws:iam/role:Role":
                made["arn"] = f"arn:aws:iam::{ACCOUNT}:role/{id_}"
        return id_, made

    def call(self, args: mocks.MockCallArgs) -> Json:
        known: dict[str, dict[str, Json]] = {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                "names": self.zones,
                "zoneIds": self.zones,
            },
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": ACCOUNT,
                "arn": f"arn:aws:iam::{ACCOUNT}:user/deployer",
                "userId": "x",
            },
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "s3cret"},
        }
        return {"id": args.token, **args.args, **known[args.token]}


def read_one_image(account: Account, uri: str) -> Manifest:
    """An ECR in which everything that was pushed is what Lambda runs."""
    return Manifest("application/vnd.oci.image.manifest.v1+json")


def find_what_is_asked_for(account: Account, settings: Settings) -> FoundNetwork:
    """An AWS in which every network is there and leads everywhere."""
    routes = (Route("0.0.0.0/0", "nat-0", active=True), Route("::/0", "eigw-0", active=True))
    zones = [f"{account.region}{letter}" for letter in "abcdef"]
    subnets = [
        Subnet(subnet_id, settings.vpc_id, zone, ipv6=True, route_table_id=f"rtb-{zone}", routes=routes)
        for subnet_id, zone in zip(settings.subnet_ids, zones, strict=False)
    ]
    file_system_id = settings.file_system_id
    arn = f"arn:aws:elasticfilesystem:{account.region}:{ACCOUNT}:file-system/{file_system_id}"
    return FoundNetwork(
        Vpc(settings.vpc_id, dns_support=True, dns_hostnames=True, dedicated=False),
        tuple(subnets),
        frozenset(zones),
        file_system=FileSystem(file_system_id, arn, available=True, zone=None, policy=True, mount_targets=())
        if file_system_id
        else None,
    )


def run_program(
    root: Path,
    config: Mapping[str, Json],
    *,
    stack: str,
    answers: Answers,
    project: str = PROJECT,
    secret_keys: Collection[str] = (),
    preview: bool = False,
    read_manifest: ManifestReader = read_one_image,
    check_engine: CheckEngine = lambda architecture: None,
    read_network: NetworkReader = find_what_is_asked_for,
    check_models: CheckModels = lambda settings, scripts: None,
    registered: Registrations | None = None,
) -> Registrations:
    """Run `root`/__main__.py as `stack` of `project`, `config` by full key. Raises what the program raises.

    With `preview`, what `answers` leaves out is unknown to the program. `registered` is filled and returned;
    given, it shows what a program registered that then stopped.
    """
    registered = Registrations() if registered is None else registered
    monitor = _Monitor(answers, registered)

    async def program() -> dict[str, Json]:
        # All in one loop: setting the mocks makes a root resource, which would wait for ever on another one.
        mocks.set_mocks(
            answers,
            project=project,
            stack=stack,
            preview=preview,
            logger=_kept(registered.warnings),
            monitor=monitor,
        )
        set_all_config({key: as_text(value) for key, value in config.items()}, secret_keys=[*secret_keys])
        with _nothing_left_behind():
            await run_pulumi_func(
                lambda: _run_main(root, read_manifest, check_engine, read_network, check_models)
            )
        stack_resource = get_root_resource()
        if not isinstance(stack_resource, Stack):
            raise TypeError(f"the root resource is {stack_resource!r}; expected the stack")
        return {
            key: await pulumi.Output.from_input(value).future()
            for key, value in stack_resource.outputs.items()
        }

    registered.outputs = asyncio.run(program())
    return registered


def _kept(warnings: list[str]) -> logging.Logger:
    """A logger that adds every warning to `warnings` and passes them on as before."""
    logger = logging.Logger("program")
    logger.parent = logging.getLogger()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    return logger


def _in_clear(inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Without Pulumi's marks of secrets: `Resource.wire` has them."""
    return {key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()}


def as_text(value: Json) -> str:
    """Config reaches a program as text: objects, numbers and booleans as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _run_main(
    root: Path,
    read_manifest: ManifestReader,
    check_engine: CheckEngine,
    read_network: NetworkReader,
    check_models: CheckModels,
) -> None:
    deploy = runpy.run_path(str(root / "__main__.py"))["deploy"]
    deploy(read_manifest, check_engine, read_network, check_models)


@contextlib.contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """A program that stopped leaves outputs which the next run in this process would wait for."""
    try:
        yield
    except BaseException:
        SETTINGS.outputs.clear()
        # What depended on the mistake has failed with it, and asyncio would print a traceback for each.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        raise


class _Monitor(mocks.MockMonitor):
    """Keeps whole requests: Pulumi's own mock forgets parents, dependencies and protection."""

    def __init__(self, answers: Answers, registered: Registrations) -> None:
        super().__init__(answers)
        self._registered = registered

    def RegisterResourceHook(  # noqa: N802 (its parent's name)
        self, request: resource_pb2.RegisterResourceHookRequest
    ) -> empty_pb2.Empty:
        self._registered.hooks[request.name] = request
        return super().RegisterResourceHook(request)  # type: ignore[no-untyped-call]

    def Invoke(  # noqa: N802 (its parent's name)
        self, request: resource_pb2.ResourceInvokeRequest
    ) -> provider_pb2.InvokeResponse:
        with _event_loop_of_this_thread():
            response: provider_pb2.InvokeResponse = super().Invoke(request)  # type: ignore[no-untyped-call]
        return response

    def RegisterResource(  # noqa: N802 (its parent's name)
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        with _event_loop_of_this_thread():
            response: resource_pb2.RegisterResourceResponse = super().RegisterResource(request)  # type: ignore[no-untyped-call]
            inputs, outputs = _plain(request.object), _plain(response.object)
        seen = Resource(
            request.type,
            request.name,
            response.id,
            response.urn,
            inputs,
            outputs,
            wire=request.object,
            dependencies=frozenset(request.dependencies),
            parent=request.parent,
            provider=request.provider,
            protect=request.protect,
            ignored=frozenset(request.ignoreChanges),
            hooks=frozenset(
                (when.name, name) for when, names in request.hooks.ListFields() for name in names
            ),
        )
        self._registered.resources.append(seen)
        return response


def _plain(wire: struct_pb2.Struct) -> dict[str, Json]:
    """Properties as they were sent, secrets as what they hold: one makes its whole property a secret."""
    return {key: rpc.unwrap_rpc_secret(value) for key, value in rpc.deserialize_properties(wire).items()}


@contextlib.contextmanager
def _event_loop_of_this_thread() -> Iterator[None]:
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
