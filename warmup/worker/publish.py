"""What the cache says of models, to endpoints and to the command: what is published, and what is refused.

A verified snapshot is made visible by the ref for plain scripts, then by the manifest, each by atomic rename.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hf_lambda.atomic import replace_text
from hf_lambda.manifest import (
    DEFAULT_REVISION,
    CachedFile,
    CodeEntry,
    Manifest,
    NotComparedEntry,
    NotPreparedEntry,
    PreparedEntry,
    RefusedUse,
    all_manifests,
    find_manifest,
    refusal_path,
    refusals,
    repo_folder,
    write_manifest,
)
from hf_lambda.remote_code import code_repositories
from hf_lambda.tasks import ALIASES

from ..protocol.answers import CacheStatus, ColdModel, UnusedModel, WarmedModel
from ..protocol.errors import WarmupError
from ..protocol.models import ModelRequest, Use
from .source import RemoteFile, Snapshot

_SHA256_DIGITS = 64


def publish(
    cache: Path,
    model: ModelRequest,
    snapshot: Snapshot,
    prepared: Iterable[PreparedEntry],
    not_prepared: Iterable[NotPreparedEntry],
    not_compared: Iterable[NotComparedEntry] = (),
    *,
    warmed_at: str | None = None,
) -> Manifest:
    """Write ref and manifest; from now on endpoints load this commit. warmed_at: None stands for now."""
    revision = model.revision or DEFAULT_REVISION
    manifest = Manifest(
        model=model.repo_id,
        revision=revision,
        commit=snapshot.commit,
        snapshot=str(snapshot.path.relative_to(cache)),
        files=tuple(CachedFile(file.path, file.size, file.sha256, file.oid) for file in snapshot.files),
        bytes=snapshot.bytes,
        warmed_at=datetime.now(UTC).isoformat(timespec="seconds") if warmed_at is None else warmed_at,
        prepared=tuple(prepared),
        not_prepared=tuple(not_prepared),
        code=_code(model, snapshot),
        not_compared=tuple(not_compared),
    )
    if revision != snapshot.commit:
        # transformers offline reads this file verbatim; the client would write it before the files are there.
        replace_text(
            cache / "hub" / repo_folder(model.repo_id) / "refs" / revision, snapshot.commit, within=cache
        )
    write_manifest(cache, manifest)
    return manifest


def published(cache: Path, model: ModelRequest) -> Manifest | None:
    """The manifest of `model`, whether or not its files are still there."""
    return find_manifest(cache, model.repo_id, model.revision)


def snapshot_of(cache: Path, manifest: Manifest) -> Snapshot:
    files = tuple(map(_remote_file, manifest.files))
    return Snapshot(manifest.commit, manifest.snapshot_path(cache), files)


def warmed_model(
    manifest: Manifest,
    *,
    seconds: float | None = None,
    warmed_at: str | None = None,
    refused: Iterable[RefusedUse] = (),
) -> WarmedModel:
    """What the report says of a model."""
    return WarmedModel(
        repo_id=manifest.model,
        revision=manifest.revision,
        commit=manifest.commit,
        bytes=manifest.bytes,
        prepared=manifest.prepared,
        not_prepared=manifest.not_prepared,
        files=len(manifest.files),
        seconds=seconds,
        warmed_at=warmed_at,
        code=manifest.code,
        not_compared=manifest.not_compared,
        refused=tuple(refused),
    )


def _code(model: ModelRequest, snapshot: Snapshot) -> tuple[CodeEntry, ...]:
    """Where the code of a model lies that a script lets run: in other repositories, or beside the weights."""
    if not model.runs_code:
        return ()
    others = sorted(code_repositories(snapshot.path) - {model.repo_id})
    pinned = next((use.code_revision for use in model.uses if use.code_revision), "")
    own = any(file.path.endswith(".py") for file in snapshot.files)
    entries = [CodeEntry(model.repo_id, snapshot.commit)] if own else []
    return (*entries, *(CodeEntry(other, pinned) for other in others))


def _remote_file(cached: CachedFile) -> RemoteFile:
    blob = cached.blob_id
    # A manifest that a cold download wrote knows only the blob's name: of a large file that is its SHA-256.
    return RemoteFile(cached.path, cached.size, blob, blob if len(blob) == _SHA256_DIGITS else cached.sha256)


def cache_status(cache: Path, models: Iterable[ModelRequest]) -> CacheStatus:
    """Per model: what its manifest says, or that it is cold; `unused`: what none of `models` is."""
    entries: list[WarmedModel | ColdModel] = []
    seen = set()
    for model in models:
        manifest = published(cache, model)
        seen.add((model.repo_id, manifest.revision if manifest else model.revision))
        if manifest is None:
            entries.append(ColdModel(model.repo_id, model.revision or "main"))
        else:
            refused = refusals(cache, model.repo_id, model.revision)
            entries.append(warmed_model(manifest, warmed_at=manifest.warmed_at, refused=refused))
            seen |= {(code.model, code.commit) for code in manifest.code}
    unused = tuple(
        UnusedModel(manifest.model, manifest.revision, manifest.bytes)
        for _, manifest in all_manifests(cache)
        if (manifest.model, manifest.revision) not in seen
    )
    free = shutil.disk_usage(cache).free if cache.is_dir() else None
    return CacheStatus(tuple(entries), unused, free)


class Refusals:
    """Uses of `model` that the repository cannot serve. The others are served all the same."""

    def __init__(self, model: ModelRequest) -> None:
        self.model = model
        self._errors: list[tuple[Use, WarmupError, str]] = []

    @property
    def found(self) -> tuple[RefusedUse, ...]:
        return tuple(dict.fromkeys(_refused(*each) for each in self._errors))

    def add(self, use: Use, error: WarmupError, commit: str = "") -> None:
        """`commit`: of the repository that was looked at."""
        self._errors.append((use, error, commit))

    def has(self, use: Use) -> bool:
        return any(use == each for each, _, _ in self._errors)

    def others(self, model: ModelRequest) -> ModelRequest:
        """`model` for its other uses. Raises the WarmupError of the first where there is none."""
        uses = tuple(use for use in model.uses if not self.has(use))
        if self._errors and not uses:
            raise self._errors[0][1]
        return replace(model, uses=uses)


@contextmanager
def kept_refusals(cache: Path, model: ModelRequest) -> Iterator[Refusals]:
    """What is refused meanwhile is what endpoints that ask for it answer, until a warm-up takes it back.

    A verdict that is raised is one of every use that is not refused for another reason. After another error
    what earlier warm-ups have refused stays refused.
    """
    found = Refusals(model)
    settled = True
    try:
        yield found
    except WarmupError as error:
        settled = error.kind.is_verdict
        for use in model.uses if settled else ():
            if not found.has(use):
                found.add(use, error)
        raise
    except BaseException:
        settled = False
        raise
    finally:
        _keep(cache, model, found, settled)


def _keep(cache: Path, model: ModelRequest, found: Refusals, settled: bool) -> None:
    if not settled and not found.found:
        return
    known = {(each.task, each.engine, each.requested): each for each in _earlier(cache, model)}
    if settled:
        known.pop(("", "", ""), None)
        for use in model.uses:
            known.pop((_task(use), use.engine, use.requested), None)
    known |= {(each.task, each.engine, each.requested): each for each in found.found}
    path = refusal_path(cache, model.repo_id, model.revision)
    if known:
        document = {"uses": [each.to_json() for each in known.values()]}
        replace_text(path, json.dumps(document), within=cache)
    else:
        path.unlink(missing_ok=True)


def _earlier(cache: Path, model: ModelRequest) -> list[RefusedUse]:
    return refusals(cache, model.repo_id, model.revision)


def _refused(use: Use, error: WarmupError, commit: str) -> RefusedUse:
    return RefusedUse(_task(use), use.engine, use.requested, str(error), commit)


def _task(use: Use) -> str:
    return ALIASES.get(use.task, use.task)
