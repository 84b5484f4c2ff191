"""Compares files on disk with what the Hub's tree says of them: the client itself never does."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from hf_lambda.manifest import repo_folder

from ..errors import Stopped
from .plan import RemoteFile

CHUNK_BYTES = 1 << 20


def fault(path: Path, file: RemoteFile, stop: threading.Event | None = None) -> str | None:
    """Why `path` is not `file`, None where it is: by size, then SHA-256 (large) or git SHA-1 (small)."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if size != file.size:
        return f"has {size} of {file.size} bytes"
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if stop is not None and stop.is_set():
                raise Stopped
            digest.update(chunk)
    if digest.hexdigest() == (file.sha256 or file.oid):
        return None
    return f"has another {'SHA-256' if file.sha256 else 'git SHA-1'} than the Hub's"


def snapshot_file(snapshot: Path, file: RemoteFile) -> Path:
    return snapshot.joinpath(*file.path.split("/"))


def is_there(cache: Path, model: str, commit: str, file: RemoteFile) -> bool:
    """Whether a file of the right size is in the cache; its content is not read."""
    path = snapshot_file(cache / "hub" / repo_folder(model) / "snapshots" / commit, file)
    return path.is_file() and path.stat().st_size == file.size
