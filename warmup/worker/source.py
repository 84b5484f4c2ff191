"""Where models come from: the Hub, or the staging bucket of a stack whose functions do not reach it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
