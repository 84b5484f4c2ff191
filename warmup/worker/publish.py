"""Makes a verified snapshot visible: the ref for plain scripts, then the manifest, each by atomic rename."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hf_lambda.cache import DEFAULT_REVISION, VERSION, Manifest, manifest_path, repo_folder, write_manifest

from ..models import Model
from .files import replace_text
from .plan import RemoteFile, Snapshot

_SHA256_DIGITS = 64


def publish(
    cache: Path,
    model: Model,
    snapshot: Snapshot,
    prepared: Iterable[dict[str, Any]],
    not_prepared: Iterable[dict[str, Any]],
) -> Manifest:
    """Write ref and manifest; from now on endpoints load this commit."""
    revision = model.revision or DEFAULT_REVISION
    manifest = Manifest(
        model=model.model,
        revision=revision,
        commit=snapshot.commit,
        snapshot=str(snapshot.path.relative_to(cache)),
        files=[
            {"path": file.path, "size": file.size, "sha256": file.sha256, "blob_id": file.oid}
            for file in snapshot.files
        ],
        bytes=snapshot.bytes,
        warmed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        prepared=[*prepared],
        not_prepared=[*not_prepared],
    )
    if revision != snapshot.commit:
        # transformers offline reads this file verbatim; the client would write it before the files are there.
        replace_text(cache / "hub" / repo_folder(model.model) / "refs" / revision, snapshot.commit)
    write_manifest(cache, manifest)
    return manifest


def published(cache: Path, model: Model) -> Manifest | None:
    """The manifest of `model`, whether or not its files are still there."""
    return _read(manifest_path(cache, model.model, model.revision))


def read_manifests(cache: Path, folder: str = "models--*") -> Iterator[tuple[Path, Manifest]]:
    """Every readable manifest of the repositories that match `folder`, with its path."""
    for path in sorted((cache / "manifests").glob(f"{folder}/[!.]*.json")):
        manifest = _read(path)
        if manifest is not None:
            yield path, manifest


def snapshot_of(cache: Path, manifest: Manifest) -> Snapshot:
    files = tuple(_remote_file(entry) for entry in manifest.files)
    return Snapshot(manifest.commit, manifest.snapshot_path(cache), files)


def report_of(manifest: Manifest) -> dict[str, Any]:
    """What the report says of a model."""
    document = asdict(manifest)
    kept = ("model", "revision", "commit", "bytes", "prepared", "not_prepared")
    return {**{name: document[name] for name in kept}, "files": len(manifest.files)}


def _remote_file(entry: dict[str, Any]) -> RemoteFile:
    blob, sha256 = entry["blob_id"], entry["sha256"]
    # A manifest that a cold download wrote knows only the blob's name: of a large file that is its SHA-256.
    return RemoteFile(entry["path"], entry["size"], blob, blob if len(blob) == _SHA256_DIGITS else sha256)


def _read(path: Path) -> Manifest | None:
    try:
        document = json.loads(path.read_bytes())
        return Manifest(**document) if document.get("version") == VERSION else None
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None
