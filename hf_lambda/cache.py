"""The model cache as inference sees it: manifests, written last by the warm-up, read before any load."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import ColdCache

VERSION = 1
DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class Manifest:
    """What the warm-up left of one model at one revision; the fields are those of the JSON file."""

    model: str
    revision: str
    commit: str
    snapshot: str
    """Folder of the snapshot, relative to the cache."""
    files: list[dict[str, Any]]
    """Per file: path, size, sha256 (None for small ones), blob_id."""
    bytes: int
    warmed_at: str
    prepared: list[dict[str, Any]] = field(default_factory=list)
    not_prepared: list[dict[str, Any]] = field(default_factory=list)
    version: int = VERSION

    def snapshot_path(self, cache: Path) -> Path:
        return cache / self.snapshot


def repo_folder(model: str) -> str:
    """`org/name` -> `models--org--name`, the Hub's own folder name."""
    return "--".join(["models", *model.split("/")])


def manifest_path(cache: Path, model: str, revision: str | None) -> Path:
    return cache / "manifests" / repo_folder(model) / f"{_quoted(revision or DEFAULT_REVISION)}.json"


def read_manifest(
    cache: Path, model: str, revision: str | None, *, environ: Mapping[str, str] = os.environ
) -> Manifest:
    """The manifest of `model` at `revision` (None: main).

    A commit, whole or its first characters, is also found through a manifest that another name wrote.
    Raises ColdCache, with the command from `WARM_COMMAND`, when there is none or its snapshot is gone.
    """
    manifest = _read(manifest_path(cache, model, revision)) or _by_commit(cache, model, revision)
    if manifest is None or not manifest.snapshot_path(cache).is_dir():
        raise ColdCache(cold_message(model, revision, environ))
    return manifest


def write_manifest(cache: Path, manifest: Manifest) -> Path:
    """Publish `manifest` by atomic rename; readers see the old one or the new one, whole."""
    import tempfile  # only writers need it: inference starts sooner without

    path = manifest_path(cache, manifest.model, manifest.revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(manifest), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes 0600; readers mount through another access point user.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def cold_message(model: str, revision: str | None, environ: Mapping[str, str]) -> str:
    command = environ.get("WARM_COMMAND") or "python -m warmup"
    return f"{model} at {revision or DEFAULT_REVISION} is not in the model cache. Warm it: {command}"


def _quoted(revision: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.-]+", revision):
        return revision
    from urllib.parse import quote  # seldom needed, so not imported at every cold start

    return quote(revision, safe="")


def _by_commit(cache: Path, model: str, revision: str | None) -> Manifest | None:
    if revision is None or not re.fullmatch(r"[0-9a-f]{7,40}", revision):
        return None
    for path in sorted((cache / "manifests" / repo_folder(model)).glob("[!.]*.json")):
        manifest = _read(path)
        if manifest and manifest.commit.startswith(revision):
            return manifest
    return None


def _read(path: Path) -> Manifest | None:
    """None also for one of another version or one that is not JSON: the fix is the same, warm again."""
    try:
        document = json.loads(path.read_bytes())
        return Manifest(**document) if document.get("version") == VERSION else None
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, AttributeError):
        return None
