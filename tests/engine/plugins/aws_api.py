"""The calls of AWS's API that the program makes itself, on loopback; prints its address.

The first part of a path is the folder of a stack, quoted. ECR's BatchGetImage finds what the stand-in
provider has pushed there, as an image of one platform; Lambda's Invoke queues, and versions and aliases are
those of the stack. Every call is a line of the folder's aws.jsonl.

It is also the Docker engine that the program looks up before anything else.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.engine.plugins.cloud import Cloud, changing

MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST = {"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": {}, "layers": []}


DOCKER = {
    "/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24"},
    "/v1.44/info": {"Architecture": "x86_64", "KernelVersion": "of another machine"},
}


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if found := DOCKER.get(self.path):
            self._answer(200, found)
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        target = self.headers.get("x-amz-target") or ""
        kind = self.headers.get("x-amz-invocation-type")
        folder, _, path = self.path.removeprefix("/").partition("/")
        stack = Path(unquote(folder))
        with (stack / "aws.jsonl").open("a") as log:
            call = {"target": target, "path": f"/{path}", "type": kind, "body": body}
            log.write(json.dumps(call) + "\n")
        if target.endswith(".BatchGetImage"):
            self._answer(200, _images(stack / "cloud.json", json.loads(body)))
        elif target.endswith((".PutImage", ".BatchDeleteImage")):
            self._answer(200, _retag(stack / "cloud.json", json.loads(body)))
        elif "/invocations" in self.path:
            self._answer(202 if kind == "Event" else 200, {})
        elif "/functions/" in self.path:
            self._answer(*_function(stack / "cloud.json", self.command, f"/{path}", body))
        else:
            self._answer(400, {"__type": "UnknownOperationException", "message": target or self.path})

    do_DELETE = do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        """Said in LOG."""

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        if status == 404:
            self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _function(cloud_file: Path, method: str, path: str, body: str) -> tuple[int, dict[str, Any]]:
    """Versions and aliases of a function: listed, looked up, moved, deleted."""
    place, _, query = path.partition("?")
    name, *rest = unquote(place).partition("/functions/")[2].strip("/").split("/")
    name = name.rpartition(":")[2]  # of an ARN
    with changing(cloud_file) as cloud:
        versions = cloud.versions.get(name, {})
        of_function = [
            each for key, each in cloud.resources.items() if key.startswith(f"aws:lambda/alias:Alias {name}:")
        ]
        if method == "PUT":
            (moved,) = (each for each in of_function if rest == ["aliases", each.inputs["name"]])
            asked = json.loads(body)
            moved.inputs |= {
                "functionVersion": asked["FunctionVersion"],
                "description": asked["Description"],
                "routingConfig": {
                    "additionalVersionWeights": asked["RoutingConfig"]["AdditionalVersionWeights"]
                },
            }
        aliases = [
            {
                "Name": each.inputs["name"],
                "FunctionVersion": each.inputs["functionVersion"],
                "Description": each.inputs.get("description") or "",
                "RoutingConfig": {
                    "AdditionalVersionWeights": (each.inputs.get("routingConfig") or {}).get(
                        "additionalVersionWeights", {}
                    )
                },
            }
            for each in of_function
        ]
        if method == "DELETE":
            versions.pop(query.removeprefix("Qualifier="))
            return 204, {}
        if rest == ["versions"]:
            function = cloud.resources[f"aws:lambda/function:Function {name}"].inputs
            latest = (function.get("vpcConfig") or {}).get("subnetIds", [])
            found = {"$LATEST": latest, **versions}
            return 200, {
                "Versions": [
                    {"Version": version, "VpcConfig": {"SubnetIds": subnets}}
                    for version, subnets in found.items()
                ]
            }
        if rest == ["aliases"]:
            return 200, {"Aliases": aliases}
        named = [each for each in aliases if rest == ["aliases", each["Name"]]]
        return (200, named[0]) if named else (404, {"Type": "User", "Message": f"no {place}"})


def _retag(cloud_file: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """PutImage of what is there, BatchDeleteImage of a tag."""
    repository = asked["repositoryName"]
    with changing(cloud_file) as cloud:
        if "imageTag" in asked:
            digest = json.loads(asked["imageManifest"])["config"]["digest"]
            cloud.tags[f"{repository}:{asked['imageTag']}"] = digest
        for each in asked.get("imageIds", []):
            cloud.tags.pop(f"{repository}:{each['imageTag']}")
    return {"image": {}, "imageIds": [], "failures": []}


def _images(cloud_file: Path, asked: dict[str, Any]) -> dict[str, Any]:
    there = {each.outputs.get("repoDigest") for each in Cloud.load(cloud_file).resources.values()}
    images, failures = [], []
    tags = Cloud.load(cloud_file).tags
    for identifier in asked["imageIds"]:
        if digest := tags.get(f"{asked['repositoryName']}:{identifier.get('imageTag')}"):
            said = {"imageManifest": json.dumps({**MANIFEST, "config": {"digest": digest}})}
            identity = {**identifier, "imageDigest": digest}
            images.append({"imageId": identity, **said, "imageManifestMediaType": MEDIA_TYPE})
            continue
        if "imageDigest" not in identifier:
            failures.append({"imageId": identifier, "failureReason": "Requested image not found"})
            continue
        pushed = f"{asked['repositoryName']}@{identifier['imageDigest']}"
        if any(str(each).endswith(f"/{pushed}") for each in there):
            said = {"imageManifest": json.dumps(MANIFEST), "imageManifestMediaType": MEDIA_TYPE}
            images.append({"imageId": identifier, **said})
        else:
            reason = "Requested image not found"
            failures.append({"imageId": identifier, "failureReason": reason})
    return {"images": images, "failures": failures}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
