"""What a push leaves in a registry: Lambda takes a single-platform manifest, and no index."""

import contextlib
import json
import os
import shutil
import subprocess
import urllib.request

import pytest

from local.service.ports import Ports
from tests.container.test_run import wait_for

MANIFESTS = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
}
INDEXES = {
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
}
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path):
    """Debian's registry on a loopback port, which engines push to without TLS."""
    program = shutil.which("docker-registry")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no docker-registry here")
    with Ports(1) as (port,):
        config = tmp_path / "registry.yml"
        config.write_text(CONFIG.format(folder=tmp_path / "registry", port=port))
        with (tmp_path / "registry.log").open("wb") as log:
            process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
        address = f"127.0.0.1:{port}"
        try:
            wait_for(lambda: answers(address))
            yield address
        finally:
            process.terminate()
            process.wait()


def test_a_push_gives_one_manifest_that_lambda_takes(engine, images, registry):
    name = f"{registry}/hf-lambda:slim"
    engine.run("tag", images["slim"], name)
    try:
        engine.run("push", name)
    finally:
        engine.run("rmi", name)
    wanted = {"Accept": ", ".join(MANIFESTS | INDEXES)}
    request = urllib.request.Request(f"http://{registry}/v2/hf-lambda/manifests/slim", headers=wanted)
    with urllib.request.urlopen(request, timeout=10) as response:
        kind, manifest = response.headers["Content-Type"], json.load(response)
    assert kind in MANIFESTS
    assert not [layer for layer in manifest["layers"] if "zstd" in layer["mediaType"]]


def answers(address):
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/", timeout=1):
        return True
    return False
