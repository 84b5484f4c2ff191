"""Publishing a prepared folder: hashes, `prepared.json` last, one atomic rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

DOCUMENT = "prepared.json"
_CHUNK = 1 << 20


def publish(candidate: Path, folder: Path, document: dict[str, Any]) -> None:
    """Move `candidate` to `folder`; a reader sees either nothing or everything."""
    path = candidate / DOCUMENT
    with path.open("w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for file_path in candidate.iterdir():
        file_path.chmod(0o644)
    candidate.chmod(0o755)
    if folder.exists():  # not valid, or it would have been kept; a rename cannot replace a full folder
        stale = folder.with_name(f".stale-{folder.name}-{os.getpid()}")
        folder.rename(stale)
        shutil.rmtree(stale, ignore_errors=True)
    candidate.rename(folder)


def valid_entry(folder: Path, *, gate_key: str | None = None) -> dict[str, Any] | None:
    """The entry of a published folder whose files are all as they were; None where it must be made (again).

    gate_key: also None if the folder was checked with other samples or another tolerance.
    """
    try:
        document = json.loads((folder / DOCUMENT).read_bytes())
        if gate_key is not None and document["gate_key"] != gate_key:
            return None
        entry: dict[str, Any] = document["entry"]
        return entry if document["files"] == hashes(folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file but `prepared.json`, by name."""
    files = sorted(path for path in folder.iterdir() if path.name != DOCUMENT)
    return {path.name: {"size": path.stat().st_size, "sha256": _sha256(path)} for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
