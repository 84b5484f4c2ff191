"""`pulumi-resource-aws` and `-docker` for the real Pulumi engine: a provider whose cloud is $CLOUD_FILE.

Prints its port and serves the protocol of providers (pulumirpc.ResourceProvider) until it is interrupted. It
gives ids, ARNs and names, knows which changes replace a resource, computes the digest of a build context, and
refuses some of what AWS refuses.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.engine.plugins.catalogue import (
    KEPT,
    NAMED_BY_PROVIDER,
    NOT_OF_A_VERSION,
    REPLACED_BY,
    TAGGED,
    answers,
    name_of,
    outputs,
    type_of,
)
from tests.engine.plugins.cloud import Cloud, Resource, changing
from tests.engine.plugins.refusals import (
    IMAGE,
    refused_creation,
    refused_deletion,
    refused_update,
    short_name,
)

LARGE = [("grpc.max_receive_message_length", 1 << 28)]
_SECRET = "4dabf18193072939515e22adb298388d"
"""Key that marks a secret on the wire."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, version: str, cloud_file: Path) -> None:
        self._version, self._cloud_file, self._region = version, cloud_file, "us-east-1"
        self._default_tags: dict[str, str] = {}

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        response = provider_pb2.DiffResponse
        same = _load(request.old_inputs) == _load(request.news)
        return response(changes=response.DIFF_NONE if same else response.DIFF_SOME)

    def Configure(self, request: Any, context: Any) -> Any:
        config = _plain(_load(request.args))
        self._region = config.get("region") or self._region
        # What is not plain text in the config of a provider is JSON.
        tags = config.get("defaultTags") or {}
        self._default_tags = (json.loads(tags) if isinstance(tags, str) else tags).get("tags", {})
        return provider_pb2.ConfigureResponse()

    def Check(self, request: Any, context: Any) -> Any:
        inputs, kind = _load(request.news), type_of(request.urn)
        failures = []
        if kind == IMAGE:
            inputs["build"]["contextDigest"] = context_digest(Path(inputs["build"]["context"]))
        elif kind in NAMED_BY_PROVIDER and not inputs.get("name"):
            digits = hashlib.sha256(os.urandom(8)).hexdigest()[:7]
            inputs["name"] = _load(request.olds).get("name") or f"{name_of(request.urn)}-{digits}"
            longest = NAMED_BY_PROVIDER[kind]
            if len(inputs["name"]) > longest:
                reason = f"{inputs['name']} is longer than {longest}"
                failures.append(provider_pb2.CheckFailure(property="name", reason=reason))
        if kind in TAGGED and self._default_tags:
            inputs["tagsAll"] = {**self._default_tags, **inputs.get("tags", {})}
        return provider_pb2.CheckResponse(inputs=_dump(inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = _plain(_load(request.old_inputs)), _plain(_load(request.news))
        kind = type_of(request.urn)
        ignored = set(request.ignoreChanges)
        keys = {key for key in {*old, *new} - ignored if old.get(key) != new.get(key)}
        keys = {key for key in keys if not key.startswith("__")}
        if kind == IMAGE and _server(old) == _server(new):
            keys.discard("registry")  # new credentials alone push nothing
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if keys else response.DIFF_NONE,
            diffs=sorted(keys),
            replaces=sorted(keys & REPLACED_BY.get(kind, frozenset())),
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs, kind = _plain(_load(request.properties)), type_of(request.urn)
        with changing(self._cloud_file) as cloud:
            cloud.made += 1
            made = outputs(kind, name_of(request.urn), inputs, self._region, cloud.made)
            key = f"{kind} {made['id']}"
            _refuse(context, refused_creation(cloud, kind, key, inputs))
            cloud.resources[key] = Resource(request.urn, inputs, made)
            _publish(cloud, kind, inputs, made)
            _log(cloud, "create", request.urn)
        return provider_pb2.CreateResponse(id=made["id"], properties=_dump(made))

    def Read(self, request: Any, context: Any) -> Any:
        found = Cloud.load(self._cloud_file).resources.get(f"{type_of(request.urn)} {request.id}")
        if found is None:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(
            id=request.id, properties=_dump(found.outputs), inputs=_dump(found.inputs)
        )

    def Update(self, request: Any, context: Any) -> Any:
        inputs, old = _plain(_load(request.news)), _plain(_load(request.olds))
        kind = type_of(request.urn)
        with changing(self._cloud_file) as cloud:
            _refuse(context, refused_update(cloud, kind, inputs))
            cloud.made += 1
            made = outputs(kind, name_of(request.urn), inputs, self._region, cloud.made)
            made |= {key: old[key] for key in KEPT if key in old}
            before = _plain(_load(request.old_inputs))
            changed = {key for key in {*inputs, *before} if inputs.get(key) != before.get(key)}
            if (
                kind == "aws:lambda/function:Function"
                and changed <= NOT_OF_A_VERSION
                and before.get("publish")
            ):
                made |= {key: old[key] for key in ("version", "qualifiedArn")}
            cloud.resources[f"{kind} {request.id}"] = Resource(request.urn, inputs, made)
            _publish(cloud, kind, inputs, made)
            _log(cloud, "update", request.urn)
        return provider_pb2.UpdateResponse(properties=_dump(made))

    def Delete(self, request: Any, context: Any) -> Any:
        with changing(self._cloud_file) as cloud:
            _refuse(context, refused_deletion(cloud, type_of(request.urn), request.id))
            cloud.resources.pop(f"{type_of(request.urn)} {request.id}", None)
            cloud.versions.pop(request.id, None)
            _log(cloud, "delete", request.urn)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        known = answers(self._region)
        token = request.tok.rpartition(":")[2]
        if token not in known:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not known to the stand-in provider"
            )
        arguments = _plain(_load(request.args))
        return provider_pb2.InvokeResponse(**{"return": _dump({**arguments, **known[token]})})


def context_digest(context: Path) -> str:
    """Of the files in the build context that end up in an image: names and contents."""
    digest = hashlib.sha256()
    for folder in ("inference", "hf_lambda", "discovery", "warmup", "requirements"):
        for path in sorted((context / folder).rglob("*")):
            if path.suffix in (".py", ".txt", ".sh", ".jsonl") or path.name == "Dockerfile":
                digest.update(f"{path.relative_to(context)} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _publish(cloud: Cloud, kind: str, inputs: dict[str, Any], made: dict[str, Any]) -> None:
    if kind == IMAGE:
        cloud.tags[short_name(inputs)] = made["repoDigest"].rpartition("@")[2]
    if kind == "aws:lambda/function:Function" and inputs.get("publish"):
        subnets = (inputs.get("vpcConfig") or {}).get("subnetIds", [])
        cloud.versions.setdefault(made["id"], {}).setdefault(made["version"], subnets)


def _refuse(context: Any, text: str | None) -> None:
    if text:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)


def _log(cloud: Cloud, verb: str, urn: str) -> None:
    cloud.log.append(f"{verb} {type_of(urn)} {name_of(urn)}")


def _server(inputs: dict[str, Any]) -> Any:
    return (inputs.get("registry") or {}).get("server")


def _plain(value: Any) -> Any:
    """Without the marks of secrets."""
    if isinstance(value, dict):
        if _SECRET in value:
            return _plain(value.get("value"))
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _load(struct: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(struct)
    return found


def _dump(content: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(content)
    return struct


def serve(register: Any) -> None:
    """A gRPC server on a free port, which it prints, until the engine interrupts it."""
    server = grpc.server(futures.ThreadPoolExecutor(16), options=LARGE)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGINT, lambda *_: server.stop(0))
    server.wait_for_termination()


if __name__ == "__main__":
    stand_in = Provider(os.environ["PLUGIN_VERSION"], Path(os.environ["CLOUD_FILE"]))
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(stand_in, server))
