"""The relay: brings what a cache lacks of a model from the Hub into the staging bucket, file by file."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from hf_lambda.atomic import remove

from ..protocol.answers import DownloadPlan, RelayedModel
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action
from ..protocol.models import ModelRequest
from .bucket import Bucket, ref_key, tree_bytes, tree_key
from .fetch import Transfer, adapter_requests, code_requests, commit_and_tree, selected, snapshot_folder
from .jobs import Job
from .logs import log
from .selection import weight_index
from .source import ModelSource, RemoteFile
from .threads import CHECK_SECONDS, Stopped, map_on_threads, turn

DOWNLOADS = 8
UPLOADS = 2
"""Files at once; each goes up in several parts at once."""
_LARGEST_STORAGE_MB = 10240


class Relay:
    """One invocation of the relay.

    scratch: a folder of its own, capacity: bytes that may lie there. ask: what the warm-up says that its
    cache has of a model whose tree is in the bucket.
    """

    def __init__(
        self,
        bucket: Bucket,
        source: ModelSource,
        scratch: Path,
        capacity: int,
        ask: Callable[[Action, ModelRequest], DownloadPlan],
        job: Job,
    ) -> None:
        self._bucket, self._source, self._ask, self._job = bucket, source, ask, job
        self._scratch, self._room = scratch, Room(capacity)

    def plan(self, model: ModelRequest) -> DownloadPlan:
        """What a warm-up would download; only the tree of the model goes into the bucket."""
        self._announce(model)
        return self._asked(Action.PLAN, model)

    def fetch(self, model: ModelRequest) -> RelayedModel:
        """Put what the cache lacks of `model` into the bucket, and what it needs of other repositories.

        Safe to repeat, to interrupt and to run twice at once: what the bucket holds is not fetched again.
        Raises WarmupError with the fix, OutOfTime near the deadline.
        """
        began = time.monotonic()
        try:
            commit, files, relayed = self._fetch(model)
            snapshot = snapshot_folder(self._scratch, model, commit)
            for other in (
                *code_requests(model, snapshot, self._source, self._job),
                *adapter_requests(model),
            ):
                relayed += self._fetch(other)[2]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full(model) from error
        except WarmupError as error:
            if error.kind is not ErrorKind.DISK_FULL:
                raise
            raise self._full(model) from error
        seconds = round(time.monotonic() - began, 2)
        total = sum(file.size for file in files)
        log("relayed", model=model.key, commit=commit, bytes=total, relayed=relayed, seconds=seconds)
        return RelayedModel(model.repo_id, commit, len(files), total, relayed, seconds)

    def _fetch(self, model: ModelRequest) -> tuple[str, tuple[RemoteFile, ...], int]:
        """Commit, files, and how many bytes came from the Hub."""
        job, key = self._job, model.key
        commit, files, transfer = self._announce(model)
        cached = {file.path for file in self._asked(Action.LACKS, model).files if file.cached}
        lacking = list({file.blob: file for file in files if file.path not in cached}.values())

        def held(file: RemoteFile, _: threading.Event) -> bool:
            return self._bucket.holds(model.repo_id, file)

        found = map_on_threads(lacking, held, workers=DOWNLOADS, check=job.check)
        missing = [file for file, there in zip(lacking, found, strict=True) if not there]
        # In the order in which the warm-up asks for them.
        missing.sort(key=lambda file: -file.size)
        self._refuse_larger(model, missing)
        total = sum(file.size for file in files)
        transfer.expect(files, set(files) - set(missing))
        job.progress(key, phase="fetch", note="", bytes_total=total, files_total=len(files))
        needed = sum(file.size for file in missing)
        shown = _Uploaded(model, job, len(missing), total - needed, total)
        uploads = threading.Semaphore(UPLOADS)

        def bring(file: RemoteFile, stop: threading.Event) -> None:
            with self._room.hold(file.size, stop):
                path = transfer.fetch(file, stop)
                shown.downloaded()
                with turn(uploads, stop):
                    self._bucket.upload(path, model.repo_id, file, shown.sent, stop)
                if not _is_read_here(file):
                    remove(path)
            log("staged", model=key, path=file.path, bytes=file.size)

        map_on_threads(missing, bring, workers=DOWNLOADS, check=job.check)
        return commit, files, needed

    def _announce(self, model: ModelRequest) -> tuple[str, tuple[RemoteFile, ...], Transfer]:
        """Resolve the revision and put ref and tree into the bucket; from then on the warm-up knows it."""
        job = self._job
        commit, tree = commit_and_tree(model, self._scratch, self._source, job)
        snapshot = snapshot_folder(self._scratch, model, commit)
        transfer = Transfer(model, commit, snapshot, self._scratch, self._source, job)
        files = selected(model, tree)
        index = weight_index(files)
        read_here = [
            file for file in files if file.path == index or (model.runs_code and _is_read_here(file))
        ]
        self._refuse_larger(model, read_here)
        transfer.run(read_here)
        if index is not None:  # only its text knows which shards count
            files = selected(model, tree, (snapshot / index).read_text(errors="replace"))
        # While the phase is "resolve", a warm-up takes no ref: it may be that of an earlier relay.
        job.progress(model.key, phase="resolve")

        def write(_: None, stop: threading.Event) -> None:
            self._bucket.write(tree_key(model.repo_id, commit), tree_bytes(tree))
            self._bucket.write(ref_key(model.repo_id, model.revision), commit.encode())

        map_on_threads([None], write, workers=1, check=job.check)
        job.progress(model.key, phase="ask", note="what the cache lacks")
        return commit, files, transfer

    def _asked(self, action: Action, model: ModelRequest) -> DownloadPlan:
        def ask(_: None, stop: threading.Event) -> DownloadPlan:
            return self._ask(action, model)

        return map_on_threads([None], ask, workers=1, check=self._job.check)[0]

    def _refuse_larger(self, model: ModelRequest, files: Sequence[RemoteFile]) -> None:
        for file in files:
            if file.size > self._room.capacity:
                raise WarmupError(
                    ErrorKind.TOO_LARGE,
                    f"{model.repo_id}/{file.path} has {file.size:,} bytes, and /tmp of the relay holds "
                    f"{self._room.capacity:,}: raise relayStorageMb (at most {_LARGEST_STORAGE_MB}), or take "
                    "another egress (none: this machine downloads)",
                )

    def _full(self, model: ModelRequest) -> WarmupError:
        return WarmupError(
            ErrorKind.DISK_FULL,
            f"{model.repo_id}: /tmp of the relay is full, with room for {self._room.capacity:,} bytes of "
            f"models: raise relayStorageMb (at most {_LARGEST_STORAGE_MB})",
        )


class Room:
    """Bytes on a disk that is too small for everything at once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = capacity
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int, stop: threading.Event) -> Iterator[None]:
        """As soon as `size` bytes are free. Raises Stopped where `stop` comes first."""
        with self._changed:
            while size > self._free:
                if stop.is_set():
                    raise Stopped
                self._changed.wait(CHECK_SECONDS)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


class _Uploaded:
    """Shows the bytes in the bucket once all are downloaded; until then those on disk are shown."""

    def __init__(self, model: ModelRequest, job: Job, downloads: int, done: int, total: int) -> None:
        self._key, self._job, self._left = model.key, job, downloads
        self._done, self._total = done, total
        self._lock = threading.Lock()

    def downloaded(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._job.progress(self._key, phase="upload", bytes_done=self._done)

    def sent(self, count: int) -> None:
        with self._lock:
            self._done = min(self._total, self._done + count)  # what is sent again counts again
            if self._left == 0:
                self._job.progress(self._key, bytes_done=self._done)


def _is_read_here(file: RemoteFile) -> bool:
    """Small files that the relay itself looks into: the index of the weights, configs that name code."""
    return ("/" not in file.path and fnmatchcase(file.path, "*config.json")) or file.path.endswith(
        ".index.json"
    )
