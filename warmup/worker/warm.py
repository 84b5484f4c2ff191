"""Warms one model: fetch, verify, prepare, publish, under the lock of its repository."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..models import Model
from .fetch import fetch
from .jobs import Job
from .locks import held, lock_path
from .logs import log
from .plan import Snapshot
from .preparing import prepare_uses, still_valid
from .publish import publish, published, report_of
from .source import Source


def warm(model: Model, cache: Path, source: Source, job: Job) -> dict[str, Any]:
    """Fetch, verify, prepare and publish `model`; returns what the report says of it.

    Safe to repeat, to interrupt and to run twice at once: the second run waits for the first and then finds
    everything there. Raises WarmupError with the fix, OutOfTime near the deadline.
    """
    began = time.monotonic()
    with held(lock_path(cache, model.model), check=job.check, waiting=lambda: _waits(model, job)):
        snapshot = fetch(model, cache, source, job)
        return _publish(model, cache, snapshot, job, began)


def fetch_alone(model: Model, cache: Path, source: Source, job: Job) -> Snapshot:
    """The first half of `warm`: nothing is published."""
    with held(lock_path(cache, model.model), check=job.check, waiting=lambda: _waits(model, job)):
        return fetch(model, cache, source, job)


def prepare_and_publish(model: Model, cache: Path, snapshot: Snapshot, job: Job) -> dict[str, Any]:
    """The second half of `warm`, for a snapshot that is already there and verified."""
    began = time.monotonic()
    with held(lock_path(cache, model.model), check=job.check, waiting=lambda: _waits(model, job)):
        return _publish(model, cache, snapshot, job, began)


def _publish(model: Model, cache: Path, snapshot: Snapshot, job: Job, began: float) -> dict[str, Any]:
    before = published(cache, model)
    kept = still_valid(cache, before, snapshot.commit)
    if before is None:
        # torch can serve it from now on. Never over another commit's manifest: endpoints that need the
        # prepared model would go down until the new one is prepared.
        publish(cache, model, snapshot, [], [])
    job.check()
    prepared, refused = prepare_uses(cache, model, snapshot, job)
    # What was refused just now is not served as it was prepared before, for other samples or bounds.
    settled = {(entry.head, entry.requested) for entry in prepared}
    settled |= {(entry.head, entry.requested) for entry in refused}
    kept = [entry for entry in kept if (entry.head, entry.requested) not in settled]
    job.progress(model.key, phase="publish", note="")
    manifest = publish(cache, model, snapshot, [*prepared, *kept], refused)
    seconds = round(time.monotonic() - began, 2)
    log("warm", model=model.key, commit=snapshot.commit, bytes=snapshot.bytes, seconds=seconds)
    return {**report_of(manifest), "seconds": seconds}


def _waits(model: Model, job: Job) -> None:
    log("waits", model=model.key, reason="another run warms this repository")
    job.progress(model.key, phase="wait", note="another run warms this repository")
