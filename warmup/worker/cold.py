"""What an endpoint with `coldDownload` runs: the fetch of a warm-up, without preparing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from hf_lambda.manifest import Manifest

from ..protocol.events import Action
from ..protocol.models import ModelRequest
from .fetch import fetch
from .hub import HubSource
from .jobs import Job
from .locks import lock, repository_lock
from .publish import publish, published

PATIENCE_SECONDS = 20.0
"""Longest wait for the Hub: a caller is on the line."""
_WITHOUT_DEADLINE_SECONDS = 1e9


def fetch_and_publish(
    cache: Path, repo_id: str, revision: str | None, environ: Mapping[str, str]
) -> Manifest:
    """Download a model, verified file by file, and publish it. Raises WarmupError with the fix.

    Cold starts at the same time wait for the one that downloads, and take what it published.
    """
    model = ModelRequest(repo_id, None if revision == "main" else revision, ())
    job = Job(uuid.uuid4().hex, Action.FETCH, lambda: _WITHOUT_DEADLINE_SECONDS)
    with lock(repository_lock(cache, repo_id), check=job.check, waiting=lambda: None):
        manifest = published(cache, model)
        if manifest is not None and manifest.snapshot_path(cache).is_dir():
            return manifest
        source = HubSource(
            environ.get("HF_ENDPOINT"),
            environ.get("HF_TOKEN") or None,
            note=lambda text: None,
            patience_s=PATIENCE_SECONDS,
        )
        return publish(cache, model, fetch(model, cache, source, job), [], [])
