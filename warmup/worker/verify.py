"""Compares files on disk with what the Hub's tree says of them: the client itself never does.

A large file is hashed while it is written, so that it is verified the moment it has arrived.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from hf_lambda import integrity
from hf_lambda.integrity import Expected
from hf_lambda.manifest import Manifest, PreparedEntry

from ..prepare.folder import valid_entry
from ..protocol.answers import FileFault, VerifiedModel
from ..protocol.models import ModelRequest
from .jobs import Job
from .publish import published, snapshot_of
from .source import RemoteFile, snapshot_file
from .threads import Stopped, map_on_threads

WORKERS = 4
LEAST_BYTES = 32 << 20
"""Smaller files are hashed in less time than it takes to look for them."""
CHUNK_BYTES = 1 << 20
LAG_BYTES = 8 << 20
"""What was written last is left alone: on NFS, reading an unfinished page makes the client flush it."""
PAUSE_SECONDS = 0.05


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


def _prepared_faults(cache: Path, manifest: Manifest, job: Job) -> list[FileFault]:
    def check(entry: PreparedEntry, _: threading.Event) -> FileFault | None:
        if valid_entry(cache / entry.path) is not None:
            return None
        return FileFault(entry.path, "is not as it was published")

    found = map_on_threads(manifest.prepared, check, workers=WORKERS, check=job.check)
    return [fault for fault in found if fault is not None]


class Follower:
    """Reads behind the Hub's client, which writes `<blob>.<random>.incomplete` and renames what is whole.

    A block is taken to be final once `received` has gone past it. Where a client writes in another order the
    hash is wrong, which says nothing: the file is then to be read as a whole.
    """

    def __init__(self, blobs: Path, file: RemoteFile, received: Callable[[], int]) -> None:
        """`received`: bytes of the file that have arrived so far."""
        self._blobs, self._file, self._received = blobs, file, received
        self._stream: BinaryIO | None = None
        self._path = blobs
        self._digest = hashlib.sha256()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @property
    def read_bytes(self) -> int:
        """Of the file that is there now."""
        return self._stream.tell() if self._stream else 0

    def __enter__(self) -> Self:
        if self._file.sha256 and self._file.size >= LEAST_BYTES:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if self._stream:
            self._stream.close()

    def matches(self, path: Path) -> bool:
        """Whether `path` is the file that was followed, and what the Hub has. False may be: not known."""
        self._end()
        try:
            if self._stream is None or not os.path.samestat(os.fstat(self._stream.fileno()), path.stat()):
                return False
            self._read(self._file.size + 1)
            whole = self._stream.tell() == self._file.size
        except OSError:
            return False
        return whole and self._digest.hexdigest() == self._file.sha256

    def _end(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Reads what can be read by now; the thread does it all the time."""
        try:
            self._find()
            self._read(self._received() - LAG_BYTES)
        except OSError:
            pass  # gone between two looks; what it was is found out at the end

    def _follow(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            self.look()

    def _find(self) -> None:
        """Opens what the client writes now: after a transfer that broke off, that is another file."""
        if self._stream and self._path.exists():
            return
        writing = next(self._blobs.glob(f"{self._file.blob}.*.incomplete"), None)
        if writing is None:
            return
        if self._stream:
            self._stream.close()
        self._stream, self._path, self._digest = writing.open("rb"), writing, hashlib.sha256()

    def _read(self, limit: int) -> None:
        while self._stream and (left := limit - self._stream.tell()) > 0:
            chunk = self._stream.read(min(CHUNK_BYTES, left))
            if not chunk:
                return
            self._digest.update(chunk)
