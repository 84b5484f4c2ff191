"""Where models come from - the Hub, a folder, the staging bucket - and how their files lie in the cache."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hf_lambda.manifest import repo_folder

from ..protocol.records import Record

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 255
"""Bytes of a file name on Linux and on EFS."""


@dataclass(frozen=True)
class RemoteFile(Record):
    """A file of the Hub's tree. `oid` is git's blob SHA-1; `sha256` is there for large (LFS) files alone."""

    path: str
    size: int
    oid: str
    sha256: str | None = None

    @property
    def blob(self) -> str:
        """Name of the blob in the Hub's cache layout: the ETag that the Hub serves."""
        return self.sha256 or self.oid

    @property
    def problem(self) -> str | None:
        """Why this cannot be a file of a repository: its names become paths in the cache."""
        if problem := path_problem(self.path):
            return problem
        if self.size < 0:
            return f"its size is {self.size}"
        if not _COMMIT.fullmatch(self.oid) or not (self.sha256 is None or _SHA256.fullmatch(self.sha256)):
            return f"its object id {self.blob[:100]!r} is not one"
        return None


def path_problem(path: str) -> str | None:
    """Why `path` cannot be that of a file in a repository, or in a folder."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\0-\x1f\\]", path):
        return f"its path {path[:100]!r} is not one inside a repository"
    if any(len(part.encode(errors="replace")) > _LONGEST_NAME - len(".incomplete") for part in parts):
        return f"its path {path[:100]!r}... is too long"
    return None


@dataclass(frozen=True)
class Snapshot:
    """A commit of a repository in the cache; `files` are all there and verified."""

    commit: str
    path: Path
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


class ModelSource(Protocol):
    """Methods raise WarmupError with the fix, and Stopped soon after `stop` is set."""

    whole_trees: bool
    """Whether `tree` lists all that a commit has, so that it may be kept for ever."""

    def resolve(self, repo_id: str, revision: str | None, stop: threading.Event) -> str:
        """The commit that `revision` (None: the default branch) names now."""

    def tree(self, repo_id: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        """Every file of `commit`, with what it takes to verify it."""

    def download(
        self,
        repo_id: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Put `file` into the Hub's cache layout in `hub_cache`; `received` is told of every chunk."""

    def release(self, repo_id: str, files: Sequence[RemoteFile]) -> None:
        """`files` are in the cache, verified: what was kept for that alone may go."""


def is_commit(revision: str | None) -> bool:
    """Whether `revision` is a whole commit."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def snapshot_file(snapshot: Path, file: RemoteFile) -> Path:
    return snapshot.joinpath(*file.path.split("/"))


def place(
    hub_cache: Path, repo_id: str, commit: str, file: RemoteFile, write: Callable[[Path], None]
) -> None:
    """Put `file` into the Hub's cache layout as its client does: a blob, and a pointer to it.

    `write` writes the content to the path that it is given, where the blob is not there already.
    """
    repository = hub_cache / repo_folder(repo_id)
    blob = repository / "blobs" / file.blob
    if not blob.is_file():
        blob.parent.mkdir(parents=True, exist_ok=True)
        # The Hub client's own name for a partial file: one rule finds the orphans of both.
        partial = blob.with_name(f"{file.blob}.{uuid.uuid4().hex[:8]}.incomplete")
        try:
            write(partial)
            partial.replace(blob)
        finally:
            partial.unlink(missing_ok=True)
    _point(snapshot_file(repository / "snapshots" / commit, file), blob)


def _point(pointer: Path, blob: Path) -> None:
    """A relative link, as the Hub's client makes it: the cache may be mounted elsewhere."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(os.path.relpath(blob, pointer.parent))
