"""A prepared folder: published by one atomic rename, with sizes and hashes to tell a damaged one by."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hf_lambda.atomic import remove
from hf_lambda.integrity import DOCUMENT, find_fault, prepared_files
from hf_lambda.manifest import PreparedEntry
from hf_lambda.records import read_file

from ..protocol.records import Json

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileHash:
    size: int
    sha256: str


@dataclass(frozen=True)
class Document:
    """`prepared.json`, the file of a prepared folder that says what the others are."""

    entry: PreparedEntry
    gate_key: str
    model: str
    commit: str
    files: Mapping[str, FileHash]

    def to_json(self) -> dict[str, Json]:
        files = {name: asdict(file) for name, file in self.files.items()}
        return {**vars(self), "entry": self.entry.to_json(), "files": files}

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Document:
        files = {name: FileHash(**file) for name, file in document["files"].items()}
        return cls(**{**document, "entry": PreparedEntry.from_json(document["entry"]), "files": files})


def publish(candidate: Path, folder: Path, document: Document) -> None:
    """Move `candidate` to `folder`; a reader sees either nothing or everything."""
    path = candidate / DOCUMENT
    with path.open("w") as file:
        json.dump(document.to_json(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for file_path in candidate.iterdir():
        file_path.chmod(0o644)
    candidate.chmod(0o755)
    if os.path.lexists(
        folder
    ):  # not valid, or it would have been kept; a rename cannot replace a full folder
        stale = folder.with_name(f".stale-{folder.name}-{os.getpid()}")
        folder.rename(stale)
        remove(stale)
    candidate.rename(folder)


def valid_entry(folder: Path, *, gate_key: str | None = None) -> PreparedEntry | None:
    """The entry of a published folder whose files are all as they were; None where it must be made (again).

    gate_key: also None if the folder was checked with other samples or another tolerance.
    """
    try:
        document = Document.from_json(json.loads(read_file(folder / DOCUMENT)))
        if gate_key is not None and document.gate_key != gate_key:
            return None
        names = {path.name for path in folder.iterdir()}
        expected = prepared_files(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_whole = names == {DOCUMENT, *document.files} and not any(map(find_fault, expected))
    return document.entry if is_whole else None


def hashes(folder: Path) -> dict[str, FileHash]:
    """Size and SHA-256 of every file but `prepared.json`, by name."""
    files = sorted(path for path in folder.iterdir() if path.name != DOCUMENT)
    return {path.name: FileHash(path.stat().st_size, _sha256(path)) for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
