"""Downloads a snapshot into the Hub's cache layout; every file is verified before it counts.

And which other repositories a model needs: adapters, of which two files, and code that a script lets run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from discovery.hf_lambda_pipeline import ADAPTER_FILES
from hf_lambda.atomic import remove, replace_text
from hf_lambda.integrity import MISSING
from hf_lambda.manifest import repo_folder
from hf_lambda.records import read_file
from hf_lambda.remote_code import code_repositories

from ..protocol.answers import DownloadPlan, ListedFile
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest, Use
from ..protocol.records import Json, WrongShape
from .jobs import Job
from .locks import lock, repository_lock
from .logs import log
from .prune import remove_orphans
from .publish import publish, published
from .selection import select_for, weight_index
from .source import ModelSource, RemoteFile, Snapshot, is_commit, snapshot_file
from .threads import map_on_threads, turn
from .verify import Follower, find_fault, has_size

DOWNLOADS = 8
HASHES = 4
"""A file that has arrived is hashed while the next one downloads in its place."""
TRANSFERS = 3
"""How often a file may arrive damaged before this is a fault."""
CODE_FILES = ("*.py",)


def fetch(model: ModelRequest, cache: Path, source: ModelSource, job: Job) -> Snapshot:
    """Download `model` into `cache` and return its verified snapshot.

    Safe to repeat; to run twice at once, hold the repository's lock. Files that are there and right are not
    asked for again. Raises WarmupError where the Hub says no or the disk is too small, OutOfTime near the
    deadline; then what arrived whole stays.
    """
    commit, tree = commit_and_tree(model, cache, source, job)
    try:
        files = _fetch_tree(model, cache, source, job, commit, tree)
    except WarmupError:
        remove(_tree_path(cache, model, commit))  # it may be the tree that is wrong: ask anew
        raise
    if source.whole_trees and not _read_tree(cache, model, commit):
        listed = [file.to_json() for file in tree]
        document = {"files": listed, "sha256": _digest(listed)}
        replace_text(_tree_path(cache, model, commit), json.dumps(document), within=cache)
    source.release(model.repo_id, files)
    return Snapshot(commit, snapshot_folder(cache, model, commit), files)


def _fetch_tree(
    model: ModelRequest, cache: Path, source: ModelSource, job: Job, commit: str, tree: list[RemoteFile]
) -> tuple[RemoteFile, ...]:
    files = selected(model, tree)
    remove_orphans(cache, model.repo_id)
    snapshot = snapshot_folder(cache, model, commit)
    transfer = Transfer(model, commit, snapshot, cache, source, job)
    index = weight_index(files)
    if index is not None:  # only its text knows which shards count
        transfer.run([file for file in files if file.path == index])
        files = selected(model, tree, (snapshot / index).read_text(errors="replace"))
    transfer.run(list(files))
    return files


def unfetched(model: ModelRequest, cache: Path) -> list[str]:
    """Paths that `model` needs of the commit that is published, and that were not fetched for it.

    It was fetched for another script, or for this one as it was. Nothing is asked of a Hub, and no weights
    are read. Raises WarmupError where the repository has nothing that fits.
    """
    manifest = published(cache, model)
    tree = _read_tree(cache, model, manifest.commit) if manifest else None
    if manifest is None or tree is None:
        return []
    files, snapshot = selected(model, tree), manifest.snapshot_path(cache)
    index = weight_index(files)
    if index is not None and (snapshot / index).is_file():
        files = selected(model, tree, (snapshot / index).read_text(errors="replace"))
    return sorted({file.path for file in files} - {file.path for file in manifest.files})


def plan_download(
    model: ModelRequest, cache: Path, source: ModelSource, job: Job, *, hashed: bool = False
) -> DownloadPlan:
    """What `fetch` would download; changes nothing. hashed: a file counts by its content, not by its size."""
    commit, tree = commit_and_tree(model, cache, source, job)
    files = selected(model, tree)
    snapshot = snapshot_folder(cache, model, commit)

    def is_there(file: RemoteFile, stop: threading.Event) -> bool:
        path = snapshot_file(snapshot, file)
        return find_fault(path, file, stop) is None if hashed else has_size(path, file)

    cached = map_on_threads(files, is_there, workers=HASHES, check=job.check)
    listed = tuple(ListedFile(file.path, file.size, there) for file, there in zip(files, cached, strict=True))
    return DownloadPlan(
        repo_id=model.repo_id,
        commit=commit,
        files=listed,
        bytes=sum(file.size for file in listed),
        missing_bytes=sum(file.size for file in listed if not file.cached),
    )


def commit_and_tree(
    model: ModelRequest, cache: Path, source: ModelSource, job: Job
) -> tuple[str, list[RemoteFile]]:
    """What the revision is now, and every file of that commit.

    A tree never changes, so it is kept in the cache: a model that is pinned by its commit, and is there,
    needs no Hub.
    """

    def ask(_: None, stop: threading.Event) -> tuple[str, list[RemoteFile]]:
        if model.revision and is_commit(model.revision) and _read_tree(cache, model, model.revision):
            commit = model.revision
        else:
            commit = source.resolve(model.repo_id, model.revision, stop)
        if not is_commit(commit):
            message = (
                f"{model.repo_id}: {commit[:100]!r} is not a commit. The Hub, or a proxy, answers wrongly"
            )
            raise WarmupError(ErrorKind.MALFORMED, message)
        return commit, _read_tree(cache, model, commit) or source.tree(model.repo_id, commit, stop)

    job.progress(model.key, phase="resolve")
    [(commit, tree)] = map_on_threads([None], ask, workers=1, check=job.check)
    return commit, tree


def _tree_path(cache: Path, model: ModelRequest, commit: str) -> Path:
    return cache / "trees" / repo_folder(model.repo_id) / f"{commit}.json"


def _read_tree(cache: Path, model: ModelRequest, commit: str) -> list[RemoteFile] | None:
    try:
        text = read_file(_tree_path(cache, model, commit))
        document = json.loads(text)
        if document["sha256"] != _digest(document["files"]):
            return None
        return [RemoteFile.from_json(entry) for entry in document["files"]]
    except (OSError, WrongShape, ValueError, LookupError, TypeError, RecursionError):
        return None


def _digest(files: Json) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def selected(model: ModelRequest, tree: list[RemoteFile], index: str | None = None) -> tuple[RemoteFile, ...]:
    files = select_for(model.repo_id, tree, model.uses, index)
    for file in files:
        if file.problem:
            message = f"{model.repo_id}: {file.problem}. The Hub, or a proxy, answers wrongly"
            raise WarmupError(ErrorKind.MALFORMED, message)
    return files


def snapshot_folder(cache: Path, model: ModelRequest, commit: str) -> Path:
    return cache / "hub" / repo_folder(model.repo_id) / "snapshots" / commit


class Transfer:
    """Brings files of one commit into a cache, each verified, and tells the job how far it is."""

    def __init__(
        self,
        model: ModelRequest,
        commit: str,
        snapshot: Path,
        cache: Path,
        source: ModelSource,
        job: Job,
    ) -> None:
        self._model, self._commit, self._snapshot = model, commit, snapshot
        self._cache, self._source, self._job = cache, source, job
        self._blobs = snapshot.parents[1] / "blobs"
        self._lock = threading.Lock()
        self._received: dict[str, int] = {}
        self._downloads, self._hashes = threading.Semaphore(DOWNLOADS), threading.Semaphore(HASHES)

    def run(self, files: list[RemoteFile]) -> None:
        """Download what of `files` is not there and right."""
        key, check = self._model.key, self._job.check
        total = sum(file.size for file in files)
        self._job.progress(key, phase="check", bytes_total=total, files_total=len(files))
        faults = map_on_threads(files, self._fault, workers=HASHES, check=check)
        with self._lock:
            self._received = {
                file.path: 0 if bad else file.size for file, bad in zip(files, faults, strict=True)
            }
        missing = [file for file, bad in zip(files, faults, strict=True) if bad]
        for file, bad in zip(files, faults, strict=True):
            if bad and bad != MISSING:
                log("damaged", model=key, path=file.path, fault=bad)
            if bad:
                self._clear(file, bad)
        self._show()
        # An unchanged file of another commit is a blob already: the client only adds the pointer.
        needed = sum(file.size for file in missing if not self._blob(file).is_file())
        _check_space(self._cache, needed, self._model.repo_id)
        self._job.progress(key, phase="fetch")
        missing.sort(key=lambda file: -file.size)
        map_on_threads(missing, self._fetch, workers=DOWNLOADS + HASHES, check=check)

    def fetch(self, file: RemoteFile, stop: threading.Event) -> Path:
        """Download `file` alone, and return where its content lies."""
        self._fetch(file, stop)
        return self._blob(file)

    def expect(self, files: Sequence[RemoteFile], done: Collection[RemoteFile]) -> None:
        """Count `files` from now on, of which `done` need nothing."""
        with self._lock:
            self._received = {file.path: file.size if file in done else 0 for file in files}
        self._show()

    def _fault(self, file: RemoteFile, stop: threading.Event, follower: Follower | None = None) -> str | None:
        path = snapshot_file(self._snapshot, file)
        known_good = follower is not None and follower.matches(path)
        bad = None if known_good else find_fault(path, file, stop)
        if bad is None and not self._is_a_blob(file):
            return "leads out of the repository's blobs"
        return bad

    def _fetch(self, file: RemoteFile, stop: threading.Event) -> None:
        began = time.monotonic()
        for _ in range(TRANSFERS):
            self._set(file, 0)
            with Follower(self._blobs, file, lambda: self._received[file.path]) as follower:
                with turn(self._downloads, stop):
                    self._source.download(
                        self._model.repo_id, self._commit, file, self._cache / "hub", self._adder(file), stop
                    )
                with turn(self._hashes, stop):
                    bad = self._fault(file, stop, follower)
            if bad is None:
                self._set(file, file.size)
                seconds = round(time.monotonic() - began, 3)
                log("fetched", model=self._model.key, path=file.path, bytes=file.size, seconds=seconds)
                return
            log("damaged", model=self._model.key, path=file.path, fault=bad)
            remove(snapshot_file(self._snapshot, file))
            remove(self._blob(file))
        raise WarmupError(
            ErrorKind.DAMAGED,
            f"{self._model.repo_id}/{file.path} {bad}, {TRANSFERS} times in a row. "
            "A proxy in between may change it; try again or from another network.",
        )

    def _blob(self, file: RemoteFile) -> Path:
        return self._blobs / file.blob

    def _is_a_blob(self, file: RemoteFile) -> bool:
        """Or a file in the place of its pointer: the client copies where links fail."""
        pointer = snapshot_file(self._snapshot, file)
        return not pointer.is_symlink() or pointer.resolve().parent == self._blobs.resolve()

    def _clear(self, file: RemoteFile, bad: str) -> None:
        """Remove what lies where the file, its blob or their folders belong: the client would take it."""
        pointer, blob = snapshot_file(self._snapshot, file), self._blob(file)
        inside = [path for path in pointer.parents if path.is_relative_to(self._snapshot)]
        hub = self._blobs.parents[1]
        own = (hub, hub / ".locks", self._blobs.parent, self._blobs, self._snapshot.parent)
        for folder in (*own, *reversed(inside)):
            if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
                remove(folder)
        if bad != MISSING or pointer.is_symlink():
            remove(pointer)
        if bad != MISSING or blob.is_symlink() or blob.is_dir():
            remove(blob)

    def _adder(self, file: RemoteFile) -> Callable[[int], None]:
        return lambda count: self._set(file, min(file.size, self._received[file.path] + count))

    def _set(self, file: RemoteFile, count: int) -> None:
        with self._lock:
            self._received[file.path] = count
        self._show()

    def _show(self) -> None:
        with self._lock:
            done = sum(self._received.values())
        self._job.progress(self._model.key, bytes_done=done)


def _check_space(cache: Path, needed: int, repo_id: str) -> None:
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise WarmupError(
            ErrorKind.DISK_FULL,
            f"{repo_id} needs {needed:,} more bytes, {cache} has {free:,} free. Try: python -m warmup prune",
        )


def adapter_request(use: Use) -> ModelRequest:
    """What is to be fetched of the adapter that `use` names."""
    needed = Use(use.task, "torch", files=ADAPTER_FILES)
    return ModelRequest(str(use.adapter), use.adapter_revision, (needed,))


def adapter_requests(model: ModelRequest) -> list[ModelRequest]:
    """Of every adapter of `model`, once."""
    return [*{request.key: request for request in map(adapter_request, _adapted(model))}.values()]


def with_adapters(models: Iterable[ModelRequest]) -> tuple[ModelRequest, ...]:
    """`models`, and every adapter of theirs as a model of its own."""
    given = list(models)
    return (*given, *(each for model in given for each in adapter_requests(model)))


def _adapted(model: ModelRequest) -> list[Use]:
    return [use for use in model.uses if use.adapter]


def code_requests(model: ModelRequest, snapshot: Path, source: ModelSource, job: Job) -> list[ModelRequest]:
    """Other repositories that the code of `model` is in, each at its commit; none where no code may run.

    Raises WarmupError where the script does not say which commit.
    """
    if not model.runs_code:
        return []
    others = sorted(code_repositories(snapshot) - {model.repo_id})
    pinned = {use.code_revision for use in model.uses if use.remote_code}
    if others and (len(pinned) != 1 or None in pinned):

        def ask(repo_id: str, stop: threading.Event) -> str:
            return source.resolve(repo_id, None, stop)

        now = map_on_threads(others[:1], ask, workers=1, check=job.check)[0]
        raise WarmupError(
            ErrorKind.REMOTE_CODE,
            f"{model.repo_id} takes its code from {others[0]}, whose commit every script must name too: "
            f'read it and write code_revision="{now}", which it is now',
        )
    (commit,) = pinned or {None}
    return [ModelRequest(other, commit, (Use("feature-extraction", files=CODE_FILES),)) for other in others]


def fetch_code(model: ModelRequest, snapshot: Path, cache: Path, source: ModelSource, job: Job) -> None:
    """Put the code of `model` that other repositories have into the cache, verified; prune keeps it."""
    for request in code_requests(model, snapshot, source, job):
        with lock(repository_lock(cache, request.repo_id), check=job.check, waiting=lambda: None):
            publish(cache, request, fetch(request, cache, source, job), [], [])
