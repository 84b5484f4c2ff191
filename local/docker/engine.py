"""The container engine: which client speaks to it, and how it is asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FIRST_WITHOUT_OWN_BUILDER = 23
"""From this version on, the client builds with the buildx plugin alone."""
HOW = (  # where functions are to run in their images
    "install Docker, or as root on Debian or Ubuntu run .ci/engine start; without CONTAINER=1 none is needed"
)

_SEARCHED_TOO = ("/usr/bin",)


class EngineError(Exception):
    """There is no engine, or it refused; one line says what to do."""


@dataclass
class ContainerEngine:
    """A client that reaches an engine and can build with BuildKit."""

    client: str

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """One command, to its end. Raises EngineError with the engine's last words."""
        done = subprocess.run([self.client, *arguments], capture_output=True, env=environment())
        if check and done.returncode:
            words = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise EngineError(f"docker {' '.join(arguments[:2])}: {words}")
        return done

    def text(self, *arguments: str) -> str:
        """What a command printed."""
        return self.run(*arguments).stdout.decode().strip()

    def has(self, image: str) -> bool:
        return self.run("image", "inspect", image, check=False).returncode == 0

    def attach(
        self, *arguments: str, stdin: int, stdout: int | IO[bytes], stderr: int
    ) -> subprocess.Popen[bytes]:
        """Start a command that goes on beside us, in a session of its own so that a Ctrl-C is ours alone."""
        return subprocess.Popen(
            [self.client, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment(),
            start_new_session=True,
        )


def find_engine(how: str = HOW) -> ContainerEngine:
    """The first `docker` on the path that reaches an engine and can build. Raises EngineError.

    how: to get one, the end of the error.
    """
    clients = [str(client) for client in _clients()]
    if not clients:
        raise EngineError(f"no container engine: there is no `docker` here; {how}")
    problems = []
    for client in clients:
        problem = _problem(client)
        if problem is None:
            return ContainerEngine(client)
        problems.append(problem)
    raise EngineError(f"no container engine: {'; '.join(problems)}; {how}")


def environment() -> Mapping[str, str]:
    return {**os.environ, "DOCKER_BUILDKIT": "1"}


def _clients() -> list[Path]:
    folders = [*os.get_exec_path(), *_SEARCHED_TOO]
    found = [Path(path) for folder in folders if (path := shutil.which("docker", path=folder))]
    return list(dict.fromkeys(found))


def _problem(client: str) -> str | None:
    """Why this client is of no use; None if it is."""
    asked = subprocess.run(
        [client, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"],
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        return f"{client}: {asked.stderr.strip().splitlines()[-1] if asked.stderr.strip() else 'no answer'}"
    major = re.match(r"\d+", asked.stdout)
    has_builder = major is not None and int(major[0]) < FIRST_WITHOUT_OWN_BUILDER
    if has_builder or subprocess.run([client, "buildx", "version"], capture_output=True).returncode == 0:
        return None
    return f"{client}: has no buildx plugin, which it needs to build"
