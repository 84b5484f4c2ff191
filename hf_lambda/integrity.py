"""Whether what lies in the cache is what was published: small files by hash, large ones by size."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .manifest import CachedFile
from .records import read_file

CHUNK_BYTES = 1 << 20
HASHED_AT_LOAD = 1 << 20
"""Files below this many bytes are hashed at every load, which takes less than a millisecond each; of larger
ones the size is compared. `python -m warmup verify` hashes all."""
MISSING = "is missing"
DOCUMENT = "prepared.json"
"""The file of a prepared folder that says what the others are; written last."""
_NO_PATH = (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True)
class Expected:
    """A file and what it has to be: by SHA-256, else by the SHA-1 of a git blob, else by size alone."""

    path: Path
    name: str
    """What messages call it."""
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


def first_fault(files: Iterable[Expected], *, hashed_below: int | None = HASHED_AT_LOAD) -> str | None:
    """The first of `files` that is not what it has to be, with how; None where all are.

    hashed_below: as for `find_fault`.
    """
    for file in files:
        if fault := find_fault(file, hashed_below=hashed_below):
            return f"{file.name} {fault}"
    return None


def snapshot_files(snapshot: Path, files: Iterable[CachedFile]) -> list[Expected]:
    """The files that a manifest lists of its snapshot."""
    return [
        Expected(snapshot.joinpath(*file.path.split("/")), file.path, file.size, file.sha256, file.blob_id)
        for file in files
    ]


def prepared_files(folder: Path) -> list[Expected]:
    """The files of a prepared folder, as its document lists them. Raises ValueError where it cannot say."""
    try:
        listed = json.loads(read_file(folder / DOCUMENT))["files"]
        files = [
            Expected(folder / name, f"{folder.name}/{name}", file["size"], file["sha256"])
            for name, file in listed.items()
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder.name}/{DOCUMENT} is missing or damaged") from error
    if not files or not all(isinstance(file.size, int) and isinstance(file.sha256, str) for file in files):
        raise ValueError(f"{folder.name}/{DOCUMENT} is damaged")
    return files


def find_fault(
    file: Expected, *, hashed_below: int | None = None, check: Callable[[], None] = lambda: None
) -> str | None:
    """How `file` differs from what it has to be, None where it does not.

    hashed_below: bytes from which on the size is enough (None: everything is hashed). check: called between
    chunks; what it raises ends the reading.
    """
    try:
        # Without O_NONBLOCK a pipe in its place would block for ever.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, OSError) and error.errno not in _NO_PATH:
            return f"cannot be read ({error.strerror})"
        return MISSING
    try:
        with os.fdopen(descriptor, "rb") as stream:
            size = os.fstat(descriptor).st_size
            if size != file.size:
                return f"has {size} of {file.size} bytes"
            if hashed_below is not None and size >= hashed_below:
                return None
            kind, expected = ("SHA-256", file.sha256) if file.sha256 else ("git SHA-1", file.git_sha1)
            if not expected:
                return None
            import hashlib  # loads OpenSSL: what imports this module alone starts sooner without

            plain = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            digest = hashlib.sha256() if file.sha256 else plain
            while chunk := stream.read(CHUNK_BYTES):
                check()
                digest.update(chunk)
    except OSError as error:  # a directory, a bad disk
        return f"cannot be read ({error.strerror})"
    return None if digest.hexdigest() == expected else f"has another {kind} than it should"
