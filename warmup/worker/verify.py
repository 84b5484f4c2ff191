"""Compares files on disk with what the Hub's tree says of them: the client itself never does."""

from __future__ import annotations

import threading
from pathlib import Path

from hf_lambda import integrity
from hf_lambda.integrity import Expected
from hf_lambda.manifest import Manifest, PreparedEntry

from ..prepare.folder import valid_entry
from ..protocol.answers import FileFault, VerifiedModel
from ..protocol.models import ModelRequest
from .jobs import Job
from .publish import published, snapshot_of
from .source import RemoteFile
from .threads import Stopped, map_on_threads

WORKERS = 4


def verify(cache: Path, model: ModelRequest, job: Job) -> VerifiedModel:
    """Hash every file of the published snapshot and of its prepared folders again; changes nothing."""
    manifest = published(cache, model)
    if manifest is None:
        return VerifiedModel(model.repo_id, 0, 0, (FileFault(model.key, "is cold"),))
    snapshot = snapshot_of(cache, manifest)
    job.progress(model.key, phase="verify", files_total=len(snapshot.files), bytes_total=snapshot.bytes)
    lock, done = threading.Lock(), 0

    def check(file: RemoteFile, stop: threading.Event) -> str | None:
        nonlocal done
        found = find_fault(snapshot_file(snapshot.path, file), file, stop)
        with lock:
            done += file.size
            job.progress(model.key, bytes_done=done)
        return found

    found = map_on_threads(snapshot.files, check, workers=WORKERS, check=job.check)
    faults = [FileFault(file.path, bad) for file, bad in zip(snapshot.files, found, strict=True) if bad]
    return VerifiedModel(
        repo_id=manifest.model,
        files=len(manifest.files),
        bytes=manifest.bytes,
        faults=(*faults, *_prepared_faults(cache, manifest, job)),
        revision=manifest.revision,
        commit=manifest.commit,
    )


def find_fault(path: Path, file: RemoteFile, stop: threading.Event | None = None) -> str | None:
    """Why `path` is not `file`, None where it is: by size, then SHA-256 (large) or git SHA-1 (small)."""

    def check() -> None:
        if stop is not None and stop.is_set():
            raise Stopped

    return integrity.find_fault(Expected(path, file.path, file.size, file.sha256, file.oid), check=check)


def has_size(path: Path, file: RemoteFile) -> bool:
    """Whether `path` is a file of the right size; its content is not read."""
    try:
        return path.is_file() and path.stat().st_size == file.size
    except OSError:
        return False


def snapshot_file(snapshot: Path, file: RemoteFile) -> Path:
    return snapshot.joinpath(*file.path.split("/"))


def _prepared_faults(cache: Path, manifest: Manifest, job: Job) -> list[FileFault]:
    def check(entry: PreparedEntry, _: threading.Event) -> FileFault | None:
        if valid_entry(cache / entry.path) is not None:
            return None
        return FileFault(entry.path, "is not as it was published")

    found = map_on_threads(manifest.prepared, check, workers=WORKERS, check=job.check)
    return [fault for fault in found if fault is not None]
