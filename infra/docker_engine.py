"""The Docker engine, looked up before Pulumi's provider asks for it at every preview, refresh and destroy.

`python -m infra.docker_engine` prints the address to put into DOCKER_HOST, or says what is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
import pulumi
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from hf_lambda.records import Json

TIMEOUT_S = 10
DEFAULT = "unix:///var/run/docker.sock"
# configureDockerClient in https://github.com/pulumi/pulumi-docker/blob/master/provider/image.go
_OF_THE_USER = (".docker/run/docker.sock", ".docker/desktop/docker.sock")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_MACHINES = {"amd64": b"\x3e\x00", "arm64": b"\xb7\x00"}
"""e_machine of an ELF file, at offset 18."""
_PLATFORMS = {"x86_64": "amd64", "arm64": "arm64"}
_NEEDED = "Pulumi's Docker provider asks for one at every preview, refresh and destroy, also to build nothing"


@dataclass(frozen=True)
class Engine:
    """One that answers."""

    host: str
    architecture: str
    kernel: str
    image_store: str | None = None
    """`containerd`, or the driver of the classic one; None where the engine does not say."""

    @property
    def is_here(self) -> bool:
        """Whether it shares this machine's kernel, rather than running in a virtual machine or elsewhere."""
        return self.kernel == platform.release() and self.host.startswith("unix://")


class EngineMissingError(Exception):
    """No engine answers where the provider looks; the text says what to do."""


CheckEngine = Callable[[str], None]
"""Takes the architecture of the functions; warns of what the Docker provider will fail with."""


def check_engine(architecture: str) -> None:
    """Warns where no engine answers, or where it cannot build for `architecture`.

    Whether that is an error is the provider's to say: another one may need no engine, and an image that did
    not change is not built.
    """
    try:
        engine = find_engine(os.environ, pulumi.Config("docker").get("host"))
    except EngineMissingError as missing:
        pulumi.log.warn(str(missing))
        return
    wanted = _PLATFORMS[architecture]
    if engine and emulates(engine, wanted) is False:
        pulumi.log.warn(no_emulator(architecture, engine))


def no_emulator(architecture: str, engine: Engine | None = None) -> str:
    where = f"the Docker engine at {engine.host} is {engine.architecture}, " if engine else ""
    # https://github.com/moby/buildkit/blob/master/docs/multi-platform.md
    return (
        f"architecture is {architecture}; {where}and no emulator is registered with its kernel, so building "
        "the image ends in `exec format error`. Register one (docker run --privileged --rm "
        f"tonistiigi/binfmt --install {_PLATFORMS[architecture]}), or set the architecture of your machine"
    )


def find_engine(environ: Mapping[str, str], configured: str | None = None) -> Engine | None:
    """The engine that the provider will find; None for one behind ssh, which it does not look up either.

    configured: `docker:host` of the stack. Raises EngineMissingError.
    """
    given = configured or environ.get("DOCKER_HOST")
    hosts = [given] if given else [DEFAULT, *(f"unix://{Path.home() / each}" for each in _OF_THE_USER)]
    if given and given.startswith("ssh://"):
        return None
    for host in hosts:
        if engine := _ask(host, environ):
            return engine
    raise EngineMissingError(_advice(hosts, environ))


def emulates(engine: Engine, architecture: str, registered: Path = _BINFMT) -> bool | None:
    """Whether `engine` runs programs of `architecture` (amd64 or arm64); None where that cannot be told."""
    if engine.architecture == architecture:
        return True
    platforms = _platforms_of_builder(engine)
    if platforms is not None:
        return f"linux/{architecture}" in platforms
    if not engine.is_here or not (registered / "register").exists():
        return None
    machine = "aarch64" if architecture == "arm64" else "x86_64"
    return shutil.which(f"buildkit-qemu-{machine}") is not None or any(
        _is_emulator(path, _MACHINES[architecture]) for path in registered.iterdir()
    )


def usable_host(environ: Mapping[str, str]) -> str:
    """What DOCKER_HOST must be for the provider to find an engine, of the current context if need be.

    Raises EngineMissingError.
    """
    try:
        engine = find_engine(environ)
    except EngineMissingError:
        if host := _host_of_context(environ):
            return host
        raise
    return engine.host if engine else environ["DOCKER_HOST"]


def _advice(hosts: Iterable[str], environ: Mapping[str, str]) -> str:
    if host := _host_of_context(environ):
        return (
            f"`docker` uses a context whose engine is at {host}, and Pulumi's Docker provider reads no "
            f"contexts. Run: export DOCKER_HOST={host}"
        )
    asked = ", ".join(hosts)
    return f"no Docker engine answers at {asked}. {_NEEDED}: start it, or say where it is with DOCKER_HOST"


def _host_of_context(environ: Mapping[str, str]) -> str | None:
    """Of the context that `docker` itself uses, where an engine answers there."""
    if environ.get("DOCKER_HOST"):
        return None  # `docker` reads no context then
    try:
        context = ContextAPI.get_context(environ.get("DOCKER_CONTEXT"))
    except Exception:  # noqa: BLE001 - it raises no narrower one for a damaged file
        return None
    if context is ContextAPI.DEFAULT_CONTEXT:
        return None  # that is none: its engine is the one that was asked already
    host = str(context.Host) if context and context.Host else ""
    return host if host and (host.startswith("ssh://") or _ask(host, environ)) else None


def _ask(host: str, environ: Mapping[str, str]) -> Engine | None:
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        return None
    try:
        options = {**kwargs_from_env(environment=dict(environ)), "base_url": host, "timeout": TIMEOUT_S}
        client = docker.APIClient(**options)
        try:
            info = client.info()
        finally:
            client.close()
    except (DockerException, OSError, ValueError):
        return None
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    architecture = str(info.get("Architecture"))
    kernel = str(info.get("KernelVersion"))
    return Engine(host, names.get(architecture, architecture), kernel, _image_store(info))


def _image_store(info: Mapping[str, Json]) -> str | None:
    """https://docs.docker.com/engine/storage/containerd/ shows what `docker info` says of it."""
    of_containerd = ["driver-type", "io.containerd.snapshotter.v1"]
    return "containerd" if of_containerd in (info.get("DriverStatus") or []) else info.get("Driver")


def _platforms_of_builder(engine: Engine) -> set[str] | None:
    """What BuildKit inside the engine runs, which the client's buildx plugin tells; None without it."""
    # https://docs.docker.com/reference/cli/docker/buildx/inspect/
    command = ["docker", "buildx", "inspect", "default"]
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.partition(":")[2] for line in done.stdout.splitlines() if line.startswith("Platforms:")]
    if done.returncode or not lines:
        return None
    return {each.strip().rstrip("*") for line in lines for each in line.split(",")}


def _is_emulator(entry: Path, machine: bytes) -> bool:
    """Whether an entry of binfmt_misc runs programs of `machine` in containers too.

    Flag F: the kernel holds the interpreter open, which no image has in it.
    https://docs.kernel.org/admin-guide/binfmt-misc.html
    """
    try:
        said = dict(line.split(maxsplit=1) for line in entry.read_text().splitlines() if " " in line)
        magic = bytes.fromhex(said.get("magic", ""))
    except (OSError, ValueError):
        return False
    return magic.startswith(b"\x7fELF") and magic[18:20] == machine and "F" in said.get("flags:", "")


def main() -> int:
    try:
        sys.stdout.write(usable_host(os.environ) + "\n")
    except EngineMissingError as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
