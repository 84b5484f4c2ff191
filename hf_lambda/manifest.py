"""What the cache holds of one model: written last by the warm-up, read by inference before any load."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .errors import ColdCache
from .records import FlatRecord, Json, read_file

VERSION = 1
DEFAULT_REVISION = "main"
_DEFAULT_CACHE = "/mnt/hf_models_cache"


@dataclass(frozen=True)
class CachedFile(FlatRecord):
    """A file of a snapshot; `sha256` is known of large files alone, `blob_id` is what the Hub calls it."""

    path: str
    size: int
    sha256: str | None = None
    blob_id: str = ""


@dataclass(frozen=True)
class PreparedEntry(FlatRecord):
    """A prepared form of a snapshot: for which head and precision, on what it runs, how it was checked."""

    head: str
    requested: str
    """What was asked for, as `requested_of` says it; `precision` is what was published."""
    precision: str
    path: str
    """Its folder, relative to the cache."""
    machine: str
    onnxruntime: str
    recipe: int = 0
    bytes: int = 0
    peak_mb: int = 0
    seconds: float = 0.0
    agreement: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Per precision that was checked against transformers: what was measured."""
    reason: str | None = None
    """Why it is not int8 where int8 was possible."""
    prepared_at: str = ""
    memory_mb: int = 0
    """Of a language model: what a function needs to serve one text of `context` tokens at a time."""
    context: int = 0


@dataclass(frozen=True)
class NotPreparedEntry(FlatRecord):
    """What stays on torch, and why."""

    head: str
    requested: str
    reason: str
    task: str = ""


@dataclass(frozen=True)
class NotComparedEntry(FlatRecord):
    """A task of which nobody knows whether the weights were trained for it, and why not."""

    task: str
    reason: str


@dataclass(frozen=True)
class Asked(FlatRecord):
    """What a script asks of a model, as far as it decides whether the model can be served; "": whatever.

    requested: as `requested_of` says it.
    """

    task: str = ""
    engine: str = ""
    requested: str = ""

    def overlaps(self, other: Asked) -> bool:
        pairs = (
            (self.task, other.task),
            (self.engine, other.engine),
            (self.requested, other.requested),
        )
        return all(one == another or not one or not another for one, another in pairs)


@dataclass(frozen=True)
class RefusedUse(Asked):
    """What the last warm-up refused of a model. commit: of the repository that was looked at, if any."""

    reason: str = ""
    commit: str = ""


@dataclass(frozen=True)
class CodeEntry(FlatRecord):
    """A repository whose code a script lets run."""

    model: str
    commit: str


@dataclass(frozen=True)
class Manifest:
    """What the warm-up left of one model at one revision."""

    model: str
    revision: str
    commit: str
    snapshot: str
    """Folder of the snapshot, relative to the cache."""
    files: tuple[CachedFile, ...]
    bytes: int
    warmed_at: str
    prepared: tuple[PreparedEntry, ...] = ()
    not_prepared: tuple[NotPreparedEntry, ...] = ()
    code: tuple[CodeEntry, ...] = ()
    """Where the code is that loads it: this repository, or others."""
    not_compared: tuple[NotComparedEntry, ...] = ()

    def snapshot_path(self, cache: Path) -> Path:
        return cache / self.snapshot

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Self:
        """Raises ValueError or TypeError where this is not a manifest of VERSION."""
        if document.get("version") != VERSION:
            raise ValueError(f"a manifest of version {document.get('version')}, expected {VERSION}")
        manifest = cls(
            model=document["model"],
            revision=document["revision"],
            commit=document["commit"],
            snapshot=document["snapshot"],
            files=tuple(map(CachedFile.from_json, document["files"])),
            bytes=document["bytes"],
            warmed_at=document["warmed_at"],
            prepared=tuple(map(PreparedEntry.from_json, document.get("prepared", ()))),
            not_prepared=tuple(map(NotPreparedEntry.from_json, document.get("not_prepared", ()))),
            code=tuple(map(CodeEntry.from_json, document.get("code", ()))),
            not_compared=tuple(map(NotComparedEntry.from_json, document.get("not_compared", ()))),
        )
        texts = (manifest.model, manifest.revision, manifest.commit, manifest.snapshot, manifest.warmed_at)
        if not all(isinstance(text, str) for text in texts) or not isinstance(manifest.bytes, int):
            raise TypeError("a manifest's model, revision, commit, snapshot, warmed_at or bytes is none")
        return manifest

    def to_json(self) -> dict[str, Json]:
        return {
            "model": self.model,
            "revision": self.revision,
            "commit": self.commit,
            "snapshot": self.snapshot,
            "files": [file.to_json() for file in self.files],
            "bytes": self.bytes,
            "warmed_at": self.warmed_at,
            "prepared": [entry.to_json() for entry in self.prepared],
            "not_prepared": [entry.to_json() for entry in self.not_prepared],
            **{
                name: [entry.to_json() for entry in entries]
                for name, entries in (("code", self.code), ("not_compared", self.not_compared))
                if entries
            },
            "version": VERSION,
        }


def cache_of(environ: Mapping[str, str]) -> Path:
    """The folder that stands for the mounted file system."""
    return Path(environ.get("MODEL_CACHE") or _DEFAULT_CACHE)


def requested_of(precision: str, adapter: str | None = None, revision: str | None = None) -> str:
    """What a script asks of a model: a precision, and the adapter that is merged into it."""
    return precision if adapter is None else f"{precision}+{adapter}@{revision or DEFAULT_REVISION}"


def repo_folder(model: str) -> str:
    """`org/name` -> `models--org--name`, the Hub's own folder name."""
    return "--".join(["models", *model.split("/")])


def manifest_path(cache: Path, model: str, revision: str | None) -> Path:
    return cache / "manifests" / repo_folder(model) / f"{_quoted(revision or DEFAULT_REVISION)}.json"


def find_manifest(cache: Path, model: str, revision: str | None) -> Manifest | None:
    """The manifest of `model` at `revision` (None: main), whether or not its files are still there."""
    return _read(manifest_path(cache, model, revision))


def all_manifests(cache: Path, folder: str = "models--*") -> Iterator[tuple[Path, Manifest]]:
    """Every readable manifest of the repositories that match `folder`, with its path."""
    for path in sorted((cache / "manifests").glob(f"{folder}/[!.]*.json")):
        manifest = _read(path)
        if manifest is not None:
            yield path, manifest


def read_manifest(
    cache: Path,
    model: str,
    revision: str | None,
    *,
    asked: Asked | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Manifest:
    """The manifest that an endpoint loads from.

    A commit, whole or its first characters, is also found through a manifest that another name wrote.
    Raises ColdCache, with the command from `WARM_COMMAND`, when there is none or its snapshot is gone, and
    where the warm-up has refused what is `asked` of this commit; None: anything.
    """
    manifest = find_manifest(cache, model, revision) or _by_commit(cache, model, revision)
    is_there = manifest is not None and manifest.snapshot_path(cache).is_dir()
    commit = manifest.commit if manifest is not None and is_there else None
    if asked or not is_there:
        message = refused_message(cache, model, revision, asked or Asked(), commit)
        if message:
            raise ColdCache(message)
    if manifest is None or not is_there:
        raise ColdCache(cold_message(model, revision, environ))
    return manifest


def refusal_path(cache: Path, model: str, revision: str | None) -> Path:
    return cache / "refusals" / repo_folder(model) / f"{_quoted(revision or DEFAULT_REVISION)}.json"


def refusals(cache: Path, model: str, revision: str | None) -> list[RefusedUse]:
    """What the last warm-up refused of the model."""
    try:
        document = json.loads(read_file(refusal_path(cache, model, revision)))
        if "uses" not in document:  # of a warm-up that told no uses apart
            return [RefusedUse.from_json({"reason": document["reason"]})]
        return [RefusedUse.from_json(each) for each in document["uses"]]
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return []


def refused_message(
    cache: Path, model: str, revision: str | None, asked: Asked, commit: str | None = None
) -> str | None:
    """What callers are told of what the last warm-up refused; None: it did not refuse what is `asked`.

    commit: what is served otherwise; that another one was refused is no matter then.
    """
    for use in refusals(cache, model, revision):
        if use.overlaps(asked) and commit in (None, use.commit):
            return f"{model} at {revision or DEFAULT_REVISION} was refused by the warm-up: {use.reason}"
    return None


def write_manifest(cache: Path, manifest: Manifest) -> Path:
    """Publish `manifest` by atomic rename; readers see the old one or the new one, whole."""
    from .atomic import replace_text  # only writers need it: inference starts sooner without

    path = manifest_path(cache, manifest.model, manifest.revision)
    replace_text(path, json.dumps(manifest.to_json(), indent=1), within=cache)
    return path


def cold_message(model: str, revision: str | None, environ: Mapping[str, str]) -> str:
    command = environ.get("WARM_COMMAND") or "python -m warmup"
    return f"{model} at {revision or DEFAULT_REVISION} is not in the model cache. Warm it: {command}"


def _quoted(revision: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.-]+", revision):
        return revision
    from urllib.parse import quote  # seldom needed, so not imported at every cold start

    return quote(revision, safe="")


def _by_commit(cache: Path, model: str, revision: str | None) -> Manifest | None:
    if revision is None or not re.fullmatch(r"[0-9a-f]{7,40}", revision):
        return None
    known = (manifest for _, manifest in all_manifests(cache, repo_folder(model)))
    return next((manifest for manifest in known if manifest.commit.startswith(revision)), None)


def _read(path: Path) -> Manifest | None:
    """None also for one of another version, damaged, or no file at all: the fix is the same, warm again."""
    try:
        return Manifest.from_json(json.loads(read_file(path)))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
