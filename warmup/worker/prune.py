"""Removes what nothing needs any more: old commits, orphans of killed runs, superseded prepared folders."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hf_lambda.atomic import remove
from hf_lambda.manifest import (
    Manifest,
    all_manifests,
    find_manifest,
    manifest_path,
    refusal_path,
    repo_folder,
)
from hf_lambda.records import read_file

from ..protocol.answers import PruneResult
from .locks import lock_if_free, lock_of_folder
from .logs import log

JOBS_KEPT_SECONDS = 7 * 24 * 3600
UNFINISHED_SECONDS = 2.0


def prune(
    cache: Path,
    used: Iterable[tuple[str, str | None]],
    *,
    only: str | None = None,
    dry_run: bool = False,
    unseen: Sequence[str] = (),
) -> PruneResult:
    """Keep what the manifests of `used` (model, revision) need, remove the rest.

    `only`: nothing but this model's repository. A repository whose lock another run holds is left alone.
    `unseen`: what may load models besides; where there is any, snapshots and manifests all stay.
    """
    used = list(used)
    for model, revision in [*used]:
        if (manifest := find_manifest(cache, model, revision)) is not None:
            used += [(code.model, code.commit) for code in manifest.code]
    kept = {manifest_path(cache, model, revision) for model, revision in used}
    pruned = _Removal(cache, dry_run)
    busy = []
    repositories = {repo_folder(only)} if only else _repositories(cache)
    for folder in sorted(repositories):
        with lock_if_free(lock_of_folder(cache, folder)) as free:
            if not free:
                busy.append(folder.removeprefix("models--").replace("--", "/"))
                continue
            found = _leftovers(cache, folder) if unseen else _superfluous(cache, folder, kept)
            for path in found:
                pruned.remove(path)
    if only is None:
        refusals = {refusal_path(cache, model, revision) for model, revision in used}
        for path in sorted(set((cache / "refusals").glob("models--*/*.json")) - refusals):
            pruned.remove(path)
        for path in _old_jobs(cache):
            pruned.remove(path)
    return PruneResult(tuple(pruned.paths), pruned.bytes, tuple(busy), tuple(unseen))


def remove_orphans(cache: Path, repo_id: str) -> None:
    """What killed runs left of a repository; hold its lock, so that nothing of a live run is there."""
    folder = repo_folder(repo_id)
    # The client locks every file that it downloads. A Lambda that was frozen at its deadline still holds
    # those of the transfers that it gave up; new files have new locks.
    remove(cache / "hub" / ".locks" / folder)
    for path in [*_orphans(cache / "hub" / folder), *_unfinished_job_files(cache)]:
        log("orphan removed", path=str(path.relative_to(cache)), bytes=_bytes(path))
        _remove(path)


def _superfluous(cache: Path, folder: str, kept: set[Path]) -> Iterator[Path]:
    """In this order: manifests first, so that a reader never finds one that leads nowhere."""
    manifests = cache / "manifests" / folder
    if manifests.is_dir():
        stale = [path for path in sorted(manifests.iterdir()) if path not in kept]
        whole = not any(path.parent == manifests for path in kept)
        yield from [manifests] if whole else stale
    alive = [manifest for path, manifest in all_manifests(cache, folder) if path in kept]
    if not alive and any(path.parent == manifests for path in kept):
        yield from _orphans(cache / "hub" / folder)  # wanted, and its first warm-up is not done yet
        return
    commits = {manifest.commit for manifest in alive}
    for known in (cache / "trees" / folder, cache / "checks" / folder):
        if known.is_dir():
            stale = [path for path in sorted(known.iterdir()) if path.stem not in commits]
            yield from stale if commits else [known]
    yield from _of_hub(cache / "hub" / folder, commits)
    yield from _of_prepared(cache, cache / "prepared" / folder, alive)


def _leftovers(cache: Path, folder: str) -> Iterator[Path]:
    """What no load can need: parts of files, and prepared folders that no manifest names."""
    alive = [manifest for _, manifest in all_manifests(cache, folder)]
    yield from _orphans(cache / "hub" / folder)
    if alive:  # else the first warm-up of it may not be done yet
        yield from _of_prepared(cache, cache / "prepared" / folder, alive)


def _of_hub(repository: Path, commits: set[str]) -> Iterator[Path]:
    if not repository.is_dir():
        return
    if not commits:
        yield repository
        return
    for ref in sorted(path for path in (repository / "refs").rglob("*") if path.is_file()):
        if read_file(ref).decode(errors="replace").strip() not in commits:
            yield ref
    needed: set[str] = set()
    for snapshot in sorted((repository / "snapshots").glob("*")):
        if snapshot.name in commits:
            needed |= {path.readlink().name for path in snapshot.rglob("*") if path.is_symlink()}
        else:
            yield snapshot
    yield from (path for path in sorted((repository / "trees").glob("*")) if path.stem not in commits)
    yield from (path for path in sorted((repository / "blobs").glob("*")) if path.name not in needed)


def _of_prepared(cache: Path, prepared: Path, alive: list[Manifest]) -> Iterator[Path]:
    if not prepared.is_dir():
        return
    needed = {cache / entry.path for manifest in alive for entry in manifest.prepared}
    for commit in sorted(prepared.iterdir()):
        if not commit.is_dir() or not any(path.parent == commit for path in needed):
            yield commit
        else:
            yield from (path for path in sorted(commit.iterdir()) if path not in needed)


def _repositories(cache: Path) -> set[str]:
    parents = [cache / name for name in ("hub", "prepared", "manifests", "trees", "checks")]
    return {path.name for parent in parents for path in parent.glob("models--*")}


def _orphans(repository: Path) -> Iterator[Path]:
    yield from (repository / "blobs").glob("*.incomplete")
    yield from repository.glob(".no_exist")
    # The client probes the umask and symlinks with files of these names.
    yield from (repository / "blobs").glob("tmp_*")


def _old_jobs(cache: Path) -> list[Path]:
    old = time.time() - JOBS_KEPT_SECONDS
    return [path for path in sorted((cache / "jobs").glob("*")) if _heartbeat(path) < old]


def _unfinished_job_files(cache: Path) -> list[Path]:
    """Temporary files of progress files. One that is just being written is milliseconds old."""
    old = time.time() - UNFINISHED_SECONDS
    return [path for path in sorted((cache / "jobs").glob(".*")) if _modified(path) < old]


def _heartbeat(path: Path) -> float:
    try:
        return float(json.loads(read_file(path))["heartbeat"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return _modified(path)


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")  # another run removed it


class _Removal:
    """What is removed, or would be."""

    def __init__(self, cache: Path, dry_run: bool) -> None:
        self._cache, self._dry_run = cache, dry_run
        self.paths: list[str] = []
        self.bytes = 0

    def remove(self, path: Path) -> None:
        self.paths.append(str(path.relative_to(self._cache)))
        self.bytes += _bytes(path)
        if not self._dry_run:
            log("pruned", path=self.paths[-1])
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _bytes(path: Path) -> int:
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(_bytes(child) for child in path.iterdir())
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
