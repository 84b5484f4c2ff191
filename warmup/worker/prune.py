"""Removes what nothing needs any more: old commits, orphans of killed runs, superseded prepared folders."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hf_lambda.manifest import Manifest, all_manifests, manifest_path, repo_folder

from .locks import held_if_free, lock_path_of
from .logs import log

JOBS_KEPT_SECONDS = 7 * 24 * 3600


@dataclass
class Pruned:
    """What a prune removed, or would remove. `busy`: repositories that a warm-up works on right now."""

    removed: list[str] = field(default_factory=list)
    bytes: int = 0
    busy: list[str] = field(default_factory=list)


def prune(
    cache: Path, used: Iterable[tuple[str, str | None]], *, only: str | None = None, dry_run: bool = False
) -> Pruned:
    """Keep what the manifests of `used` (model, revision) need, remove the rest.

    `only`: nothing but this model's repository. A repository whose lock another run holds is left alone.
    """
    kept = {manifest_path(cache, model, revision) for model, revision in used}
    pruned = Pruned()
    repositories = {repo_folder(only)} if only else _repositories(cache)
    for folder in sorted(repositories):
        with (
            held_if_free(lock_path_of(cache, folder)) as no_warmup,
            held_if_free(lock_path_of(cache, folder, cold=True)) as no_endpoint,
        ):
            if not (no_warmup and no_endpoint):
                pruned.busy.append(folder.removeprefix("models--").replace("--", "/"))
                continue
            for path in _superfluous(cache, folder, kept):
                _remove(cache, path, pruned, dry_run)
    if only is None:
        for path in _old_jobs(cache):
            _remove(cache, path, pruned, dry_run)
    return pruned


def remove_orphans(cache: Path, model: str) -> None:
    """Partial downloads of killed runs; hold the repository's lock, so that none of a live run is there."""
    folder = repo_folder(model)
    with held_if_free(lock_path_of(cache, folder, cold=True)) as free:
        if not free:
            return
        # The client locks every file that it downloads. A Lambda that was frozen at its deadline still holds
        # those of the transfers that it gave up; new files have new locks.
        shutil.rmtree(cache / "hub" / ".locks" / folder, ignore_errors=True)
        for path in _orphans(cache / "hub" / folder):
            log("orphan removed", path=str(path.relative_to(cache)), bytes=_bytes(path))
            path.unlink(missing_ok=True)


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
    yield from _of_hub(cache / "hub" / folder, commits)
    yield from _of_prepared(cache, cache / "prepared" / folder, alive)


def _of_hub(repository: Path, commits: set[str]) -> Iterator[Path]:
    if not repository.is_dir():
        return
    if not commits:
        yield repository
        return
    for ref in sorted(path for path in (repository / "refs").rglob("*") if path.is_file()):
        if ref.read_text().strip() not in commits:
            yield ref
    needed: set[str] = set()
    for snapshot in sorted((repository / "snapshots").glob("*")):
        if snapshot.name in commits:
            needed |= {path.resolve().name for path in snapshot.rglob("*") if path.is_symlink()}
        else:
            yield snapshot
    yield from (path for path in sorted((repository / "trees").glob("*")) if path.stem not in commits)
    yield from (path for path in sorted((repository / "blobs").glob("*")) if path.name not in needed)


def _of_prepared(cache: Path, prepared: Path, alive: list[Manifest]) -> Iterator[Path]:
    if not prepared.is_dir():
        return
    needed = {cache / entry.path for manifest in alive for entry in manifest.prepared}
    for commit in sorted(prepared.iterdir()):
        if not any(path.parent == commit for path in needed):
            yield commit
        else:
            yield from (path for path in sorted(commit.iterdir()) if path not in needed)


def _repositories(cache: Path) -> set[str]:
    parents = [cache / "hub", cache / "prepared", cache / "manifests"]
    return {path.name for parent in parents for path in parent.glob("models--*")}


def _orphans(repository: Path) -> Iterator[Path]:
    yield from (repository / "blobs").glob("*.incomplete")
    # The client probes the umask and symlinks with files of these names.
    yield from (repository / "blobs").glob("tmp_*")


def _old_jobs(cache: Path) -> list[Path]:
    old = time.time() - JOBS_KEPT_SECONDS
    return [path for path in sorted((cache / "jobs").glob("*")) if _heartbeat(path) < old]


def _heartbeat(path: Path) -> float:
    try:
        return float(json.loads(path.read_text())["heartbeat"])
    except (ValueError, KeyError, TypeError):
        return path.stat().st_mtime


def _remove(cache: Path, path: Path, pruned: Pruned, dry_run: bool) -> None:
    pruned.removed.append(str(path.relative_to(cache)))
    pruned.bytes += _bytes(path)
    if dry_run:
        return
    log("pruned", path=pruned.removed[-1])
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _bytes(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(_bytes(child) for child in path.iterdir())
    return path.lstat().st_size
