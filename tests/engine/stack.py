"""A stack of the program under the real Pulumi engine: its own project folder, backend and cloud."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from discovery import read_scripts
from hf_lambda.manifest import DEFAULT_REVISION, Manifest, repo_folder, write_manifest
from infra.models import MODELS
from tests.engine.plugins.catalogue import name_of, type_of
from tests.engine.plugins.cloud import Cloud
from warmup.protocol.models import models_of_scripts

ROOT = Path(__file__).parents[2]
PACKAGES = ("infra", "hf_lambda", "discovery", "warmup", "requirements")
PROVIDERS = {"aws": "pulumi-aws", "docker": "pulumi-docker"}
PASSPHRASE = "a passphrase of the tests"
_KINDS = {
    "create": "creates",
    "update": "updates",
    "delete": "deletes",
    "replace": "replaces",
    "create-replacement": "replaces",
}


class PulumiError(Exception):
    """The command failed; the text is what it said."""


@dataclass(frozen=True)
class Changes:
    """What the engine did, or would do: `lambda/function sentiment`, by kind."""

    creates: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()
    replaces: frozenset[str] = frozenset()
    deletes: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        *,
        creates: Iterable[str] = (),
        updates: Iterable[str] = (),
        replaces: Iterable[str] = (),
        deletes: Iterable[str] = (),
    ) -> Changes:
        return cls(frozenset(creates), frozenset(updates), frozenset(replaces), frozenset(deletes))

    @classmethod
    def from_events(cls, path: Path) -> Changes:
        """From a log of the engine's events. What is ours alone - components, providers - is not in it."""
        found: dict[str, set[str]] = {kind: set() for kind in _KINDS.values()}
        for line in path.read_text().splitlines():
            event = json.loads(line)
            metadata = (event.get("resourcePreEvent") or {}).get("metadata")
            if metadata and metadata["op"] in _KINDS:
                kind = type_of(metadata["urn"])
                if not kind.startswith(("pulumi:", "hf-lambda:")):
                    found[_KINDS[metadata["op"]]].add(short(kind, name_of(metadata["urn"])))
        return cls.of(**found)


def short(token: str, name: str) -> str:
    """`aws:lambda/function:Function` and `sentiment` are `lambda/function sentiment`."""
    return f"{token.removeprefix('aws:').rpartition(':')[0]} {name}"


@dataclass(frozen=True)
class Stack:
    """`folder` holds everything, so that a copy of it is another stack in the same state."""

    folder: Path
    pulumi: str
    aws: str
    """Address of the API that the program asks."""
    name: str = "dev"
    docker: str | None = None
    """Address of another Docker engine than the one that is there."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Service -> address of another API of AWS that is asked for it."""

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def cloud_file(self) -> Path:
        return self.folder / "cloud.json"

    def cloud(self) -> Cloud:
        return Cloud.load(self.cloud_file)

    def copy(self, folder: Path) -> Stack:
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder)

    def configure(self, **keys: Any) -> None:
        """Writes config into the file of the stack; None takes a key away."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        content = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
        config = {**content.get("config", {}), **{f"hf-lambda:{key}": value for key, value in keys.items()}}
        content["config"] = {key: value for key, value in config.items() if value is not None}
        path.write_text(yaml.safe_dump(content))

    def up(self, *options: str, **keys: Any) -> Changes:
        if keys:
            self.configure(**keys)
        return self._changes("up", "--yes", "--skip-preview", *options)

    def preview(self, *options: str) -> Changes:
        return self._changes("preview", *options)

    def refresh(self) -> Changes:
        return self._changes("refresh", "--yes", "--skip-preview")

    def destroy(self, *options: str) -> Changes:
        return self._changes("destroy", "--yes", *options)

    def outputs(self, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", *options))
        return found

    def calls(self) -> list[dict[str, Any]]:
        """What the program itself asked AWS for."""
        log = self.folder / "aws.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def export(self) -> str:
        return self.run("stack", "export")

    def run(self, *arguments: str) -> str:
        """What `pulumi ...` prints. Raises PulumiError with it."""
        done = subprocess.run(
            [self.pulumi, *arguments, "--non-interactive", "--color=never"],
            cwd=self.project,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if done.returncode:
            raise PulumiError(f"pulumi {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _changes(self, *arguments: str) -> Changes:
        events = self.folder / "events.json"
        events.unlink(missing_ok=True)
        self.run(*arguments, "--event-log", str(events))
        return Changes.from_events(events)

    def _environment(self) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))
        }
        plugins = _plugins(self.folder / "plugins")
        return {
            **inherited,
            "PATH": f"{plugins}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'states'}",
            "PULUMI_STACK": self.name,  # what was selected does not go with a copy
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_DEBUG_COMMANDS": "true",  # it has --event-log then
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "CLOUD_FILE": str(self.cloud_file),
            "DOCKER_HOST": self.docker or self.aws.replace("http://", "tcp://"),
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL": f"{self.aws}/{quote(str(self.folder), safe='')}",
            **{f"AWS_ENDPOINT_URL_{service.upper()}": each for service, each in self.endpoints.items()},
        }


def new_stack(folder: Path, pulumi: str, aws: str, name: str = "dev") -> Stack:
    """A stack that nothing was deployed to, of a copy of the program: its scripts and config may change."""
    stack = Stack(folder, pulumi, aws, name)
    stack.project.mkdir(parents=True)
    (folder / "states").mkdir()
    for path in (ROOT / "__main__.py", *ROOT.glob("Pulumi*.yaml"), ROOT / ".dockerignore"):
        shutil.copy(path, stack.project)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "inference", stack.project / "inference", ignore=ignored)
    for package in PACKAGES:
        (stack.project / package).symlink_to(ROOT / package)
    (stack.project / ".venv").symlink_to(sys.prefix)
    lay_models(stack.project)
    stack.run("stack", "init", name)
    return stack


def lay_models(project: Path) -> None:
    """What `python -m warmup fetch --into build/models` leaves of the scripts' models, but their files."""
    for script in read_scripts(project / "inference"):
        folder = project / MODELS / script.name
        for model in models_of_scripts([script]):
            snapshot = f"hub/{repo_folder(model.repo_id)}/snapshots/{'0' * 40}"
            (folder / snapshot).mkdir(parents=True)
            revision = model.revision or DEFAULT_REVISION
            write_manifest(folder, Manifest(model.repo_id, revision, "0" * 40, snapshot, (), 0, "2026-11-28"))


@contextlib.contextmanager
def aws_api() -> Iterator[str]:
    """The address of an API of AWS in which every stack finds what its own cloud holds."""
    command = [sys.executable, "-m", "tests.engine.plugins.aws_api"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip() if server.stdout else ""
        finally:
            server.terminate()


def _plugins(folder: Path) -> Path:
    """The plugins that the CLI starts, first on its PATH: an engine takes those before any that it has."""
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    # -P: the folder of the project must not stand before the packages of these tests.
    start = f"PYTHONPATH='{ROOT}' exec '{sys.executable}' -P -u -m"
    scripts = {
        "pulumi-language-python": f'{start} tests.engine.plugins.language_host "$@"',
        # In the folder of the project, whose modules it loads by name.
        "pulumi-resource-pulumi-python": f"exec '{sys.executable}' -u -m pulumi.dynamic \"$@\"",
    }
    for name, package in PROVIDERS.items():
        version = importlib.metadata.version(package)
        scripts[f"pulumi-resource-{name}"] = (
            f'export PLUGIN_VERSION={version}\n{start} tests.engine.plugins.provider "$@"'
        )
    for name, text in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return folder
