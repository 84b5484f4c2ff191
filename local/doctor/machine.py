"""Checks of the machine that deploys: Python, the local stack, the Docker engine and the Pulumi CLI."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from infra.docker_engine import (
    Engine,
    EngineMissingError,
    emulates,
    find_engine,
    no_emulator,
    usable_host,
)
from local.doctor.report import Check, failed, ok, skipped, warning

OLDEST_PYTHON = (3, 11)
SECONDS = 60
_INSTALL_PULUMI = "install it from https://www.pulumi.com/docs/install/ and open a new shell"
_LOGIN = (
    "run `pulumi login` (an account of Pulumi), `pulumi login s3://BUCKET` or `pulumi login --local` (a file)"
)
_PLATFORMS = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True)
class Ran:
    """What a command answered; `code` is None where it is not there or did not end."""

    code: int | None
    out: str = ""
    err: str = ""


Run = Callable[[list[str]], Ran]


def run_command(command: list[str]) -> Ran:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Ran(None, err=f"`{' '.join(command)}` did not end within {SECONDS} s")
    except OSError as error:
        return Ran(None, err=str(error.strerror))
    return Ran(done.returncode, done.stdout, done.stderr)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    said = f"{'.'.join(map(str, version))} at {sys.executable}"
    if version[:2] < OLDEST_PYTHON:
        return failed("Python", said, "install Python 3.11 or newer, then `make doctor PYTHON=/path/to/it`")
    return ok("Python", said)


def check_local_stack(system: str = platform.system(), machine: str = platform.machine()) -> Check:
    """Whether `make up` runs here: AWS's emulator is built for Linux, and runs in a container on macOS."""
    name, here = "local stack", f"{system} on {machine}"
    if system not in ("Linux", "Darwin") or machine not in ("x86_64", "aarch64", "arm64"):
        return warning(
            name,
            here,
            "`make up` needs Linux, WSL 2 or macOS on x86_64 or arm64; deploying to AWS does not",
        )
    if system == "Darwin":
        return ok(name, f"{here}: `make up` runs in a container here, with a Docker engine")
    return ok(name, f"{here}: `make up` runs here")


def check_docker(
    environ: Mapping[str, str],
    configured: str | None,
    find: Callable[[Mapping[str, str], str | None], Engine | None] = find_engine,
    usable: Callable[[Mapping[str, str]], str] = usable_host,
) -> tuple[Check, Engine | None]:
    """`configured`: `docker:host` of the stack."""
    name = "Docker engine"
    try:
        engine = find(environ, configured)
    except EngineMissingError as missing:
        return _without_engine(name, missing, environ, usable), None
    if engine is None:
        return ok(name, "behind ssh, where Pulumi's provider asks for it when it needs it"), None
    return ok(name, f"{engine.host} ({engine.architecture}, {engine.kernel})"), engine


def _without_engine(
    name: str,
    missing: EngineMissingError,
    environ: Mapping[str, str],
    usable: Callable[[Mapping[str, str]], str],
) -> Check:
    try:
        host = usable(environ)
    except EngineMissingError:
        found, _, why = str(missing).partition(". ")
        return failed(name, found, f"{_install_docker()}. {why}")
    return warning(
        name,
        f"the context of `docker` has one at {host}, which Pulumi's provider does not read",
        f"`make up STACK=...` finds it; for `pulumi up` itself: export DOCKER_HOST={host}",
    )


def _install_docker() -> str:
    if shutil.which("docker"):
        return "start the engine: Docker Desktop, or `sudo systemctl start docker`"
    return "install one from https://docs.docker.com/engine/install/, or Docker Desktop, and start it"


def check_image_store(engine: Engine | None) -> Check:
    """Which manifests it pushes depends on it: infra/registry.py takes what Lambda runs out of an index."""
    name = "image store"
    if engine is None:
        return skipped(name, "no Docker engine to ask")
    if engine.image_store is None:
        return warning(
            name, "the engine does not say", "see docs/image.md if the deployment stops at the image"
        )
    if engine.image_store == "containerd":
        return ok(name, "containerd's: it pushes an index, out of which the program takes Lambda's image")
    return ok(name, f"classic ({engine.image_store}): it pushes what Lambda runs")


def check_emulation(
    engine: Engine | None,
    architecture: str,
    can: Callable[[Engine, str], bool | None] = emulates,
) -> Check:
    """Whether the engine can build for the functions' architecture, by QEMU where it is another one."""
    name = "architecture"
    if engine is None:
        return skipped(name, "no Docker engine to ask")
    wanted = _PLATFORMS[architecture]
    if engine.architecture == wanted:
        return ok(name, f"{architecture}, as the engine is")
    runs = can(engine, wanted)
    if runs is None:
        return warning(
            name,
            f"{architecture}, and the engine is {engine.architecture}: whether it emulates cannot be told",
            "if the build ends in `exec format error`: docker run --privileged --rm tonistiigi/binfmt "
            f"--install {wanted}",
        )
    if not runs:
        found, _, fix = no_emulator(architecture, engine).partition("`exec format error`. ")
        return failed(name, f"{found}`exec format error`", fix)
    return ok(name, f"{architecture}, emulated by QEMU on {engine.architecture}: builds take longer")


def check_pulumi(root: Path, run: Run = run_command) -> Check:
    name = "Pulumi CLI"
    ran = run(["pulumi", "version"])
    version = re.search(r"(\d+)\.(\d+)\.(\d+)", ran.out)
    if ran.code != 0 or version is None:
        return failed(name, f"pulumi does not run: {_last(ran)}", _INSTALL_PULUMI)
    needed = re.search(r"(\d+)\.(\d+)\.(\d+)", oldest_pulumi(root))
    if needed and _numbers(version) < _numbers(needed):
        return failed(name, version[0], f"{needed[0]} or newer is needed: {_INSTALL_PULUMI}")
    return ok(name, version[0])


def oldest_pulumi(root: Path) -> str:
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text())["requiredPulumiVersion"])


def check_login(has_cli: bool, environ: Mapping[str, str], run: Run = run_command) -> Check:
    """Where the state is kept, and as whom. An address may hold a password: the host alone is shown."""
    name = "Pulumi login"
    if not has_cli:
        return skipped(name, "no Pulumi CLI")
    ran = run(["pulumi", "whoami", "--json", "--non-interactive"])
    try:
        said = json.loads(ran.out) if ran.code == 0 else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return failed(name, f"`pulumi whoami` failed: {_last(ran)}", _LOGIN)
    backend = _without_password(str(said.get("url", "")))
    who = f"{said.get('user')} at {backend}"
    kept_by_pulumi = backend.startswith("https:")
    if not kept_by_pulumi and not any(environ.get(key) for key in _PASSPHRASES):
        return warning(
            name,
            who,
            "secrets of such a stack need a passphrase, which `pulumi up` asks for: set "
            "PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE where nobody can answer",
        )
    return ok(name, who)


_PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" + (
        parts.path if parts.scheme == "file" else ""
    )


def _last(ran: Ran) -> str:
    return (ran.err.strip() or ran.out.strip() or "it said nothing").splitlines()[-1]


def _numbers(version: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, version.groups()))
