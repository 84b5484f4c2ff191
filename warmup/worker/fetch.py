"""Downloads a snapshot into the Hub's cache layout; every file is verified before it counts."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hf_lambda.manifest import repo_folder

from ..errors import WarmupError
from ..models import Model
from .jobs import Job
from .logs import log
from .parallel import each
from .plan import RemoteFile, Snapshot, select, weight_index
from .prune import remove_orphans
from .source import Source
from .verify import fault, snapshot_file

DOWNLOADS = 8
HASHES = 4
TRANSFERS = 3
"""How often a file may arrive damaged before this is a fault."""


def plan(model: Model, source: Source, job: Job) -> tuple[str, tuple[RemoteFile, ...], list[RemoteFile]]:
    """Commit, the files that transformers needs of it, and the whole tree."""

    def ask(_: None, stop: threading.Event) -> tuple[str, list[RemoteFile]]:
        commit = source.resolve(model.model, model.revision, stop)
        return commit, source.tree(model.model, commit, stop)

    job.progress(model.key, phase="resolve")
    [(commit, tree)] = each([None], ask, workers=1, check=job.check)
    return commit, select(model.model, tree), tree


def fetch(model: Model, cache: Path, source: Source, job: Job) -> Snapshot:
    """Download `model` into `cache` and return its verified snapshot.

    Safe to repeat; to run twice at once, hold the repository's lock. Files that are there and right are not
    asked for again. Raises WarmupError where the Hub says no or the disk is too small, OutOfTime near the
    deadline; then what arrived whole stays.
    """
    commit, files, tree = plan(model, source, job)
    remove_orphans(cache, model.model)
    snapshot = cache / "hub" / repo_folder(model.model) / "snapshots" / commit
    transfer = _Transfer(model, commit, snapshot, cache, source, job)
    index = weight_index(files)
    if index is not None:  # only its text knows which shards count
        transfer.run([file for file in files if file.path == index])
        files = select(model.model, tree, (snapshot / index).read_text())
    transfer.run(list(files))
    return Snapshot(commit, snapshot, files)


class _Transfer:
    def __init__(
        self, model: Model, commit: str, snapshot: Path, cache: Path, source: Source, job: Job
    ) -> None:
        self._model, self._commit, self._snapshot = model, commit, snapshot
        self._cache, self._source, self._job = cache, source, job
        self._lock = threading.Lock()
        self._received: dict[str, int] = {}

    def run(self, files: list[RemoteFile]) -> None:
        key, check = self._model.key, self._job.check
        total = sum(file.size for file in files)
        self._job.progress(key, phase="check", bytes_total=total, files_total=len(files))
        faults = each(files, self._fault, workers=HASHES, check=check)
        with self._lock:
            self._received = {
                file.path: 0 if bad else file.size for file, bad in zip(files, faults, strict=True)
            }
        missing = [file for file, bad in zip(files, faults, strict=True) if bad]
        for file, bad in zip(files, faults, strict=True):
            if bad and bad != "is missing":
                log("damaged", model=key, path=file.path, fault=bad)
                # The client takes any file of that name as complete, so the damaged one has to go first.
                _remove(snapshot_file(self._snapshot, file), self._blob(file))
        self._show()
        # An unchanged file of another commit is a blob already: the client only adds the pointer.
        needed = sum(file.size for file in missing if not self._blob(file).is_file())
        _check_space(self._cache, needed, self._model.model)
        self._job.progress(key, phase="fetch")
        missing.sort(key=lambda file: -file.size)
        each(missing, self._fetch, workers=DOWNLOADS, check=check)

    def _fault(self, file: RemoteFile, stop: threading.Event) -> str | None:
        return fault(snapshot_file(self._snapshot, file), file, stop)

    def _fetch(self, file: RemoteFile, stop: threading.Event) -> None:
        pointer, began = snapshot_file(self._snapshot, file), time.monotonic()
        bad: str | None = None
        for _ in range(TRANSFERS):
            self._set(file, 0)
            self._source.download(
                self._model.model, self._commit, file, self._cache / "hub", self._adder(file), stop
            )
            bad = fault(pointer, file, stop)
            if bad is None:
                self._set(file, file.size)
                seconds = round(time.monotonic() - began, 3)
                log("fetched", model=self._model.key, path=file.path, bytes=file.size, seconds=seconds)
                return
            log("damaged", model=self._model.key, path=file.path, fault=bad)
            _remove(pointer, self._blob(file))
        raise WarmupError(
            "damaged",
            f"{self._model.model}/{file.path} {bad}, {TRANSFERS} times in a row. "
            "A proxy in between may change it; try again or from another network.",
        )

    def _blob(self, file: RemoteFile) -> Path:
        return self._snapshot.parents[1] / "blobs" / file.blob

    def _adder(self, file: RemoteFile) -> Callable[[int], None]:
        return lambda count: self._set(file, min(file.size, self._received[file.path] + count))

    def _set(self, file: RemoteFile, count: int) -> None:
        with self._lock:
            self._received[file.path] = count
        self._show()

    def _show(self) -> None:
        self._job.progress(self._model.key, bytes_done=sum(self._received.values()))


def _remove(pointer: Path, blob: Path) -> None:
    """The pointer, and the file's own blob: a pointer astray may lead to one that another snapshot needs."""
    pointer.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _check_space(cache: Path, needed: int, model: str) -> None:
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise WarmupError(
            "disk full",
            f"{model} needs {needed:,} more bytes, {cache} has {free:,} free. Try: python -m warmup prune",
        )
