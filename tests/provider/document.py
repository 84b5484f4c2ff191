"""The program as Terraform JSON: each resource that it registers, its outputs as references to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi.runtime import mocks

from infra.existing_network import NetworkReader
from local.program import mock
from local.program.declare import read_config
from tests.infra.asked import SECRET, Deployed
from tests.infra.program import full_key
from tests.provider.schema import NAMES, Schema, UnknownError, camel_case

LACKING = {
    "aws:lambda/permission:Permission invokedViaFunctionUrl": (
        "tests/infra/test_function.py::test_public_needs_both_permissions_and_the_second_holds_for_the_address_alone"
    ),
}
"""Inputs that version 5 of the provider lacks (pulumi-aws 7 bridges version 6); what holds them instead."""

LARGEST = {"aws:sqs/queue:Queue maxMessageSize": 262_144}
"""What version 5 takes at most where version 6 takes more; tests/infra holds what is asked for."""


@dataclass(frozen=True)
class Document:
    """What the program asks of AWS, as Terraform takes it."""

    resources: dict[str, dict[str, Any]]
    """Address (`aws_vpc.network`) -> arguments."""
    names: dict[str, tuple[str, str]]
    """Address -> (type token, name) in the program."""
    left_out: frozenset[str]
    """The inputs among `LACKING` that the program gives."""
    region: str
    default_tags: Mapping[str, str]

    def to_json(self, version: str) -> dict[str, Any]:
        """`version`: of the provider."""
        provider: dict[str, Any] = {
            "region": self.region,
            "access_key": "x",
            "secret_key": "x",
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "skip_region_validation": True,
            "s3_use_path_style": True,
            **({"default_tags": [{"tags": dict(self.default_tags)}]} if self.default_tags else {}),
        }
        resource: dict[str, dict[str, Any]] = {}
        for address, arguments in self.resources.items():
            kind, _, label = address.partition(".")
            resource.setdefault(kind, {})[label] = arguments
        source = {"source": "hashicorp/aws", "version": version}
        return {
            "terraform": {"required_providers": {"aws": source}},
            "provider": {"aws": provider},
            "resource": resource,
        }


def write_document(
    root: Path,
    stack: str,
    schema: Schema,
    keys: Mapping[str, Any] | None = None,
    read_network: NetworkReader = mock.find_what_is_asked_for,
) -> Document:
    """Runs `root`/__main__.py with the config of `stack` and `keys` over it.

    Raises UnknownError for what the provider does not know, and MountTargetRaceError.
    """
    deployed = _run(root, References(schema, stack, preview=False), keys, read_network)
    _check_mounts(deployed)
    return _document(deployed, schema, stack)


def preview_program(
    root: Path,
    stack: str,
    schema: Schema,
    keys: Mapping[str, Any] | None = None,
    read_network: NetworkReader = mock.find_what_is_asked_for,
) -> None:
    """Runs the program as a preview does, where what AWS computes is not known. Raises what it raises."""
    _run(root, References(schema, stack, preview=True), keys, read_network)


def _run(
    root: Path, answers: References, keys: Mapping[str, Any] | None, read_network: NetworkReader
) -> Deployed:
    config = {
        **read_config(root, answers.stack),
        **{full_key(key): value for key, value in (keys or {}).items()},
    }
    answers.region = config["aws:region"]
    answers.zones = [f"{answers.region}{letter}" for letter in "abcdef"]
    deployed = Deployed()
    mock.run_program(
        root,
        {key: value for key, value in config.items() if value is not None},
        stack=answers.stack,
        answers=answers,
        secret_keys=["hf-lambda:hfToken"],
        preview=answers.preview,
        read_network=read_network,
        registered=deployed,
    )
    return deployed


class MountTargetRaceError(Exception):
    """A function could be made before the file system can be mounted in each of its zones."""


class References(mock.Answers):
    """Gives every resource outputs of the form `${aws_vpc.network.id}`."""

    def __init__(self, schema: Schema, stack: str, preview: bool) -> None:
        super().__init__("", [])
        self.schema, self.stack, self.preview = schema, stack, preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if self.preview:
            return None, dict(args.inputs)
        if args.typ.startswith("docker:"):
            return args.name, {**args.inputs, "repoDigest": _pushed(args.inputs)}
        if not args.typ.startswith("aws:"):
            return super().new_resource(args)
        kind = self.schema.kind(args.typ)
        address, own = _address(kind, args.name), _own_name(self.schema, kind, self.stack, args.name)
        names = {key: value for value in own.values() for key in ("name", *map(camel_case, own))}
        outputs = {**dict(self._outputs(kind, address, args.inputs)), **names, **args.inputs}
        # A program may compute with a name, which it could not do with a reference.
        return own.get("function_name", f"${{{address}.id}}"), outputs

    def _outputs(self, kind: str, address: str, inputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, is_list in self.schema.outputs(kind):
            key, reference = camel_case(name), f"{address}.{name}"
            if not {key, f"{key}s"} & set(inputs):
                yield key, [f"${{tolist({reference})[0]}}"] if is_list else f"${{{reference}}}"


def _pushed(inputs: dict[str, Any]) -> str:
    """What an engine would have pushed: the same digest as long as the same is built."""
    build = json.dumps({key: value for key, value in inputs.items() if key != "registry"}, sort_keys=True)
    repository = inputs["imageName"].rpartition(":")[0]
    return f"{repository}@sha256:{hashlib.sha256(build.encode()).hexdigest()}"


def _within_bounds(type_: str, inputs: Mapping[str, Any]) -> Any:
    return {
        key: min(value, LARGEST[f"{type_} {key}"]) if f"{type_} {key}" in LARGEST else value
        for key, value in _without_marks(inputs).items()
    }


def _document(deployed: Deployed, schema: Schema, stack: str) -> Document:
    (provider,) = (each.inputs for each in deployed.resources if each.type == "pulumi:providers:aws")
    asked = [each for each in deployed.resources if each.type.startswith("aws:")]
    addresses = {each.urn: _address(schema.kind(each.type), each.name) for each in asked}
    if len(set(addresses.values())) < len(addresses):
        raise UnknownError("two resources have one address: their names differ only in signs")
    unknown: dict[str, str] = {}
    resources = {}
    for each in asked:
        kind = schema.kind(each.type)
        arguments, left_out = schema.arguments(each.type, _within_bounds(each.type, each.inputs))
        unknown |= {f"{each.type} {path}": addresses[each.urn] for path in left_out}
        resources[addresses[each.urn]] = {
            **_own_name(schema, kind, stack, each.name),
            **_timeouts(schema, kind),
            **arguments,
            **_ignored(each, schema, kind),
            "depends_on": sorted(addresses[urn] for urn in each.dependencies if urn in addresses),
        }
    if others := sorted(set(unknown) - set(LACKING)):
        raise UnknownError(f"the provider has no argument for {', '.join(others)}")
    tags = provider.get("defaultTags") or {}
    return Document(
        resources,
        {addresses[each.urn]: (each.type, each.name) for each in asked},
        frozenset(unknown),
        provider["region"],
        (json.loads(tags) if isinstance(tags, str) else tags).get("tags", {}),
    )


def _without_marks(value: Any) -> Any:
    """Terraform has no secrets in its JSON."""
    if isinstance(value, dict):
        if SECRET in value:
            return _without_marks(value["value"])
        return {key: _without_marks(each) for key, each in value.items()}
    return [_without_marks(each) for each in value] if isinstance(value, list) else value


def _address(kind: str, name: str) -> str:
    return f"{kind}.{re.sub(r'[^A-Za-z0-9_-]', '-', name)}"


def _own_name(schema: Schema, kind: str, stack: str, name: str) -> dict[str, str]:
    """The name that Pulumi gives where the program gives none: the resource's, and seven digits."""
    attributes = schema.block(kind).get("attributes", {})
    digits = hashlib.sha256(f"{stack} {kind} {name}".encode()).hexdigest()[:7]
    return {each: f"{name}-{digits}" for each in NAMES if attributes.get(each, {}).get("required")}


def _ignored(resource: mock.Resource, schema: Schema, kind: str) -> dict[str, Any]:
    ignored = sorted(schema.name(kind, each) for each in resource.ignored)
    return {"lifecycle": [{"ignore_changes": ignored}]} if ignored else {}


def _timeouts(schema: Schema, kind: str) -> dict[str, Any]:
    """What the emulated AWS does not do within a minute it never does; the provider waits up to 45."""
    block = schema.block(kind).get("block_types", {}).get("timeouts")
    return {"timeouts": dict.fromkeys(block["block"]["attributes"], "1m")} if block else {}


def _check_mounts(deployed: Deployed) -> None:
    targets = {("efs/mountTarget", name) for name in deployed.all("efs/mountTarget")}
    for name, function in deployed.all("lambda/function").items():
        if function.inputs.get("fileSystemConfig"):
            missing = {each for _, each in targets} - {
                each for kind, each in deployed.before(function) if kind == "efs/mountTarget"
            }
            if missing:
                raise MountTargetRaceError(f"{name} does not wait for {', '.join(sorted(missing))}")
