"""Versions of a stack with `release: gated`: what each `make up` published, its code, and the aliases."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hf_lambda.atomic import replace_text
from local.layout import Folder
from local.program.functions import Function, Program
from local.service.versions import Alias
from warmup.cli.versions import ALIAS
from warmup.protocol.outputs import STACK_OUTPUTS
from warmup.protocol.records import Json, Record

CODE = ("inference", "hf_lambda")
KINDS = (".py", ".jsonl")
"""What the image of an endpoint holds of these folders: no models that lie beside the scripts."""
KEPT = 3
"""Versions beside those that an alias names: what `keepVersions` keeps on AWS by default."""


@dataclass(frozen=True)
class _Version(Record):
    number: int
    digest: str
    functions: tuple[Function, ...]


@dataclass(frozen=True)
class _Published(Record):
    versions: tuple[_Version, ...] = ()


@dataclass(frozen=True)
class Aliases(Record):
    """By function, as whoever released left them."""

    by_function: Mapping[str, Alias] = field(default_factory=dict)


def publish(program: Program, folder: Folder) -> Program:
    """`program` with every version that is there, the oldest first.

    An image holds all scripts, so that a change of one, or of a setting, is a version more of each.
    """
    release = program.outputs.get("release")
    if release is None:
        return program
    endpoints = tuple(each for each in program.functions if each.is_endpoint)
    known = _published(folder).versions
    digest = _digest(folder.root, endpoints)
    if not known or known[-1].digest != digest:
        number = known[-1].number + 1 if known else 1
        root = _code(folder, number)
        shutil.rmtree(root, ignore_errors=True)
        for path in _files(folder.root, *KINDS, ".pyc"):  # instances cannot compile: they see it read-only
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder.root / path, root / path)
        made = [replace(each, version=str(number), root=str(root)) for each in endpoints]
        known = (*known, _Version(number, digest, tuple(made)))
    aliases = read_aliases(folder)
    for each in endpoints:
        if each.function_name not in aliases:  # its first deployment, which serves at once
            keep_alias(folder, each.function_name, Alias(ALIAS, str(known[-1].number)))
    needed = _needed(known, read_aliases(folder))
    for spare in (each for each in known if each not in needed):
        shutil.rmtree(_code(folder, spare.number), ignore_errors=True)
    known = needed
    # It holds the functions' variables.
    replace_text(folder.path / "versions.json", json.dumps(_Published(known).to_json()), mode=0o600)
    names = {each.function_name for each in endpoints}
    versions = [each for one in known for each in one.functions if each.function_name in names]
    newest: Json = {**release, "versions": {each.name: str(known[-1].number) for each in endpoints}}
    others = [_told(each, newest) for each in program.functions if not each.is_endpoint]
    outputs = {**program.outputs, "release": newest}
    return replace(program, functions=(*versions, *others), outputs=outputs)


def _told(function: Function, release: Json) -> Function:
    """The function that releases, with the versions of this machine."""
    if not function.is_release:
        return function
    outputs = {**json.loads(function.environment[STACK_OUTPUTS]), "release": release}
    return replace(function, environment={**function.environment, STACK_OUTPUTS: json.dumps(outputs)})


def read_aliases(folder: Folder) -> dict[str, Alias]:
    path = folder.path / "aliases.json"
    return dict(Aliases.from_json(json.loads(path.read_text())).by_function) if path.exists() else {}


def keep_alias(folder: Folder, name: str, alias: Alias) -> None:
    """For the next `make up`, which finds the version serving that serves now."""
    kept = Aliases({**read_aliases(folder), name: alias})
    replace_text(folder.path / "aliases.json", json.dumps(kept.to_json()))


def _published(folder: Folder) -> _Published:
    path = folder.path / "versions.json"
    return _Published.from_json(json.loads(path.read_text())) if path.exists() else _Published()


def _needed(known: tuple[_Version, ...], aliases: Mapping[str, Alias]) -> tuple[_Version, ...]:
    """The newest, as many before it as are kept, and what an alias names."""
    named = {number for alias in aliases.values() for number in alias.named}
    newest = known[-1 - KEPT :]
    return tuple(each for each in known if each in newest or str(each.number) in named)


def _code(folder: Folder, number: int) -> Path:
    return folder.path / "versions" / str(number)


def _digest(root: Path, endpoints: tuple[Function, ...]) -> str:
    digest = hashlib.sha256(json.dumps([each.to_json() for each in endpoints]).encode())
    for path in _files(root, *KINDS):
        digest.update(f"\n{path}\n".encode() + (root / path).read_bytes())
    return digest.hexdigest()


def _files(root: Path, *kinds: str) -> list[Path]:
    """What of the code ends like that, seen from `root`; hidden folders and files are no code."""
    found = (path.relative_to(root) for part in CODE for path in (root / part).rglob("*") if path.is_file())
    return sorted(
        path for path in found if path.suffix in kinds and not any(name[0] == "." for name in path.parts)
    )
