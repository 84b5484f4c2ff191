"""The local stack in a container of its own: where AWS's emulator, a Linux program, does not run.

The checkout is mounted in it at the same path, `.local` too, and what listens is published on loopback at the
same port. So what reads those files or asks those addresses works outside as inside; only what starts the
stack, or builds models, is handed in.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import ipaddress
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hf_lambda.atomic import replace_text
from local import stack
from local.docker import images, package_index
from local.docker.engine import ContainerEngine, EngineError, find_engine
from local.layout import Folder
from local.stack import Choices, Say, StackError
from warmup.protocol.records import Record

INSIDE = "HF_LAMBDA_IN_CONTAINER"
"""Set by the image: commands are in the container already."""
LABEL = "hf-lambda.checkout"
SERVERS = ("gateway", "page", "hub", "bucket")
"""What `make up` starts that listens."""
ATTEMPTS = 3
"""At ports that were free a moment ago."""
_HANDED_IN = ("HF_TOKEN", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", *images.PROXIES)
"""Variables that commands are started with, by name: no value is in a command line or kept by the engine."""
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


@dataclass(frozen=True)
class StackContainer(Record):
    """What `.local/container.json` keeps."""

    name: str
    ports: Mapping[str, int]


def is_wanted(
    folder: Folder,
    chosen: bool = False,
    *,
    system: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
) -> bool:
    """Whether the stack runs, or is to run, in a container.

    chosen: with HOST=container. On Linux that holds until `make down`.
    """
    if INSIDE in environ:
        return False
    return chosen or not system.startswith("linux") or folder.container.exists()


def run(folder: Folder, command: str, choices: Choices, say: Say, *, as_json: bool = False) -> int:
    """`python -m local COMMAND`, up or dev, in a new container in place of what runs; its exit code.

    The container stays with the stack, which after `dev`, or where it did not come up, is gone. Raises
    StackError.
    """
    _check(choices)
    with stack.locked(folder, "container.lock"):
        host = _Host(folder, _engine())
        image = host.image(say)
        before = _read(folder)
        host.remove()
        if sys.platform.startswith("linux"):
            with stack.locked(folder):
                stack.stop(folder)
        started = host.start(image, choices, before.ports if before else {})
        say(f"container: {started.name} ({_why()})")
        code = 130
        try:
            code = host.execute(started, [command, *arguments_of(choices, started.ports, as_json=as_json)])
        finally:
            if command == "dev" or not folder.outputs.exists():
                host.remove()
    return code


def run_once(folder: Folder, arguments: Sequence[str], choices: Choices, say: Say) -> int:
    """`python -m local ARGUMENTS` in a container that ends with it; its exit code. Raises StackError."""
    _check(choices)
    return _Host(folder, _engine()).run_once(arguments, choices, say)


def stop(folder: Folder) -> bool:
    """Remove the container with all that runs in it; whether there was one. Raises StackError."""
    with stack.locked(folder, "container.lock"):
        try:
            engine = _engine()
        except StackError:
            if folder.container.exists():
                raise
            return False  # where no engine is, none of its containers runs
        return _Host(folder, engine).remove()


def arguments_of(choices: Choices, ports: Mapping[str, int], *, as_json: bool = False) -> list[str]:
    """What `up` and `dev` are told inside: folders by their whole path, as it is the same there."""
    models = [_given(each) for each in choices.models]
    return [
        *(["--hub", choices.hub] if choices.hub else []),
        *(part for name, path in models for part in ("--models", f"{name}={path}" if name else str(path))),
        *(part for name, port in ports.items() for part in ("--port", f"{name}={port}")),
        *(["--json"] if as_json else []),
    ]


def mounts(root: Path, models: Sequence[str]) -> list[str]:
    """Options that show the container the checkout, and folders of models that are not in it."""
    outside = {path for _, path in map(_given, models) if not path.is_relative_to(root)}
    return [
        _mount(root),
        *(_mount(path, read_only=True) for path in sorted(outside)),
        f"--workdir={root}",
    ]


def free_ports(before: Mapping[str, int]) -> dict[str, int]:
    """A port of loopback for each server: that of `before` where nobody has it."""
    with contextlib.ExitStack() as held:
        return {name: held.enter_context(_bound(before.get(name, 0))).getsockname()[1] for name in SERVERS}


class _Host:
    """The engine, for one checkout."""

    def __init__(self, folder: Folder, engine: ContainerEngine) -> None:
        self._folder, self._engine = folder, engine
        key = hashlib.sha256(str(folder.root).encode()).hexdigest()[:8]
        self.name = f"hf-lambda-{key}"
        """Of the container, and of the network that it is alone in."""

    def image(self, say: Say) -> str:
        """Of what the stack needs, built if it is not there. Raises StackError."""
        log = self._folder.path / "image-local.log"  # beside the logs, which each `make up` begins anew
        try:
            return images.build_local_stack(self._engine, say, root=self._folder.root, log=log)
        except EngineError as error:
            raise StackError(str(error)) from error

    def start(self, image: str, choices: Choices, before: Mapping[str, int]) -> StackContainer:
        """At the ports `before`, as far as they are free. Raises StackError."""
        try:
            self._engine.run("network", "create", self.name)
            return self._start(image, choices, before)
        except EngineError as error:
            self.remove()
            raise StackError(f"the container of the local stack does not start: {error}") from error

    def _start(self, image: str, choices: Choices, before: Mapping[str, int]) -> StackContainer:
        if not before and self._folder.gateway_port.exists():
            before = {"gateway": int(self._folder.gateway_port.read_text())}
        for attempt in range(ATTEMPTS):
            ports = free_ports(before if attempt == 0 else {})
            started = StackContainer(self.name, ports)
            # Written first: `make down` finds what an interrupted `make up` leaves.
            replace_text(self._folder.container, json.dumps(started.to_json()))
            options = ["--detach", "--name", self.name, "--label", f"{LABEL}={self._folder.root}"]
            options += ["--network", self.name]
            options += [f"--publish=127.0.0.1:{port}:{port}" for port in ports.values()]
            main = [image, "python", "-m", "local.docker.forward", *map(str, ports.values())]
            try:
                self._engine.run("run", *options, *self._options(choices), *main)
            except EngineError as error:
                if attempt == ATTEMPTS - 1 or not any(words in str(error).lower() for words in _TAKEN):
                    raise
                self._engine.run("rm", "--force", self.name, check=False)
            else:
                break
        return started

    def execute(self, container: StackContainer, arguments: Sequence[str]) -> int:
        """`python -m local ARGUMENTS` in it; on a terminal, Ctrl-C reaches the command."""
        terminal = ["--interactive", "--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        command = ["exec", *terminal, *_variables(), container.name, "python", "-m", "local", *arguments]
        return subprocess.run([self._engine.client, *command], check=False).returncode

    def run_once(self, arguments: Sequence[str], choices: Choices, say: Say) -> int:
        options = [*self._options(choices), *_variables()]
        command = ["run", "--rm", *options, self.image(say), "python", "-m", "local", *arguments]
        return subprocess.run([self._engine.client, *command], check=False).returncode

    def remove(self) -> bool:
        """Whether there was a container."""
        named = [f"--filter=label={LABEL}={self._folder.root}"]
        try:
            found = self._engine.text("ps", "--all", "--quiet", *named).split()
            if found:
                # The stack first, as without a container: then nothing of it is cut off.
                self._engine.run("exec", self.name, "python", "-m", "local", "down", check=False)
                self._engine.run("rm", "--force", *found)
            self._engine.run("network", "rm", self.name, check=False)
        except EngineError as error:
            raise StackError(str(error)) from error
        if found or self._folder.container.exists():
            # The processes that are written down there were the container's.
            shutil.rmtree(self._folder.run, ignore_errors=True)
            stack.stop(self._folder)
            self._folder.container.unlink(missing_ok=True)
        return bool(found)

    def _options(self, choices: Choices) -> list[str]:
        return [*mounts(self._folder.root, choices.models), *self._user(), *self._certificates()]

    def _user(self) -> list[str]:
        """Files in the checkout stay the user's. Docker Desktop, and an engine without root, see to that."""
        if not sys.platform.startswith("linux"):
            return []
        if "rootless" in self._engine.text("info", "--format", "{{.SecurityOptions}}"):
            return []
        return [f"--user={os.getuid()}:{os.getgid()}"]

    def _certificates(self) -> list[str]:
        """What this machine was told to trust. A copy: an engine may mount nothing of where it lies."""
        bundle = package_index.ca_bundle(package_index.this_machine())
        if bundle is None:
            return []
        copied = self._folder.path / "ca.pem"
        shutil.copyfile(bundle, copied)
        return [f"--env={name}={copied}" for name in _CA_VARIABLES]


def _variables() -> list[str]:
    return [f"--env={name}" for name in _HANDED_IN if os.environ.get(name)]


def _check(choices: Choices) -> None:
    """Raises StackError for what does not work in a container."""
    if choices.container:
        raise StackError(
            "CONTAINER=1 runs each function in a container, which works on Linux; here the whole stack runs "
            "in one: leave CONTAINER=1 out"
        )
    for name, path in map(_given, choices.models):
        if not path.is_dir():
            raise StackError(f"MODELS={f'{name}=' if name else ''}{path}: there is no such folder")
    if choices.hub and _is_loopback(urlsplit(choices.hub).hostname or ""):
        raise StackError(
            f"HUB={choices.hub}: in the container that is the container itself; name this machine as it is "
            "seen from there: host.docker.internal with Docker Desktop, else its address in the network"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(models: str) -> tuple[str, Path]:
    """The model's name, empty for a folder of several, and the folder; as local/hub/__main__.py reads it."""
    name, separator, path = models.partition("=")
    return (name, Path(path).resolve()) if separator else ("", Path(models).resolve())


def _mount(path: Path, *, read_only: bool = False) -> str:
    """`--volume` has no way to write a path with a colon; this one is CSV, with its quotes."""
    line = io.StringIO()
    fields = ["type=bind", f"source={path}", f"target={path}", *(["readonly"] if read_only else [])]
    csv.writer(line, lineterminator="").writerow(fields)
    return f"--mount={line.getvalue()}"


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """A socket at `port` of loopback, or at another where somebody has that one."""
    with socket.socket() as bound:
        bound.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # what a closed connection left is no one's
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            if not port:
                raise
            bound.bind(("127.0.0.1", 0))
        yield bound


def _engine() -> ContainerEngine:
    """Raises StackError that says how to get one."""
    try:
        return find_engine(
            f"the local stack runs in a container ({_why()}): install and start Docker Desktop "
            "(https://docs.docker.com/desktop/) or another Docker engine, then run this again"
        )
    except EngineError as error:
        raise StackError(str(error)) from None


def _why() -> str:
    if sys.platform.startswith("linux"):
        return "HOST=container"
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    return f"AWS's emulator is a Linux program, and this is {system}"


def _read(folder: Folder) -> StackContainer | None:
    try:
        return StackContainer.from_json(json.loads(folder.container.read_text()))
    except (FileNotFoundError, ValueError):
        return None
