"""Puts a file into the Hub's cache layout, as the Hub's client does: a blob, and a pointer to it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from hf_lambda.manifest import repo_folder

from .source import RemoteFile
from .verify import snapshot_file


def place(
    hub_cache: Path, repo_id: str, commit: str, file: RemoteFile, write: Callable[[Path], None]
) -> None:
    """`write` writes the content to the path that it is given, where the blob is not there already."""
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
