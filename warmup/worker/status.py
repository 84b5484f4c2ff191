"""What the cache holds, read from its manifests alone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_lambda.manifest import Manifest, PreparedEntry, all_manifests

from ..models import Model
from ..prepare.publish import valid_entry
from .jobs import Job
from .parallel import each
from .publish import published, report_of, snapshot_of
from .verify import fault, snapshot_file

WORKERS = 4


def status(cache: Path, models: Iterable[Model]) -> dict[str, Any]:
    """Per model: what its manifest says, `cold` where there is none; `unused`: what no script declares."""
    entries, seen = [], set()
    for model in models:
        manifest = published(cache, model)
        seen.add((model.model, manifest.revision if manifest else model.revision))
        if manifest is None:
            entries.append({"model": model.model, "revision": model.revision or "main", "cold": True})
        else:
            entries.append({**report_of(manifest), "warmed_at": manifest.warmed_at})
    rest = [
        manifest for _, manifest in all_manifests(cache) if (manifest.model, manifest.revision) not in seen
    ]
    unused = [
        {"model": manifest.model, "revision": manifest.revision, "bytes": manifest.bytes} for manifest in rest
    ]
    free = shutil.disk_usage(cache).free if cache.is_dir() else None
    return {"models": entries, "unused": unused, "free_bytes": free}


def verify(cache: Path, model: Model, job: Job) -> dict[str, Any]:
    """Hash every file of the published snapshot and of its prepared folders again; changes nothing."""
    manifest = published(cache, model)
    if manifest is None:
        return {
            "model": model.model,
            "files": 0,
            "bytes": 0,
            "faults": [{"path": model.key, "fault": "is cold"}],
        }
    snapshot = snapshot_of(cache, manifest)
    job.progress(model.key, phase="verify", files_total=len(snapshot.files), bytes_total=snapshot.bytes)
    done = [0]

    def check(index: int, stop: threading.Event) -> str | None:
        file = snapshot.files[index]
        found = fault(snapshot_file(snapshot.path, file), file, stop)
        done[0] += file.size
        job.progress(model.key, bytes_done=done[0])
        return found

    found = each(range(len(snapshot.files)), check, workers=WORKERS, check=job.check)
    faults = [
        {"path": file.path, "fault": bad} for file, bad in zip(snapshot.files, found, strict=True) if bad
    ]
    faults += _prepared_faults(cache, manifest, job)
    return {**report_of(manifest), "faults": faults}


def _prepared_faults(cache: Path, manifest: Manifest, job: Job) -> list[dict[str, str]]:
    def check(entry: PreparedEntry, _: threading.Event) -> dict[str, str] | None:
        if valid_entry(cache / entry.path) is not None:
            return None
        return {"path": entry.path, "fault": "is not as it was published"}

    found = each(manifest.prepared, check, workers=WORKERS, check=job.check)
    return [entry for entry in found if entry is not None]
