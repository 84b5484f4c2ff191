"""What the cache holds, read from its manifests alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from hf_lambda.manifest import all_manifests, refusals

from ..protocol.answers import CacheStatus, ColdModel, UnusedModel, WarmedModel
from ..protocol.models import ModelRequest
from .publish import published, warmed_model


def status(cache: Path, models: Iterable[ModelRequest]) -> CacheStatus:
    """Per model: what its manifest says, or that it is cold; `unused`: what none of `models` is."""
    entries: list[WarmedModel | ColdModel] = []
    seen = set()
    for model in models:
        manifest = published(cache, model)
        seen.add((model.repo_id, manifest.revision if manifest else model.revision))
        if manifest is None:
            entries.append(ColdModel(model.repo_id, model.revision or "main"))
        else:
            refused = refusals(cache, model.repo_id, model.revision)
            entries.append(warmed_model(manifest, warmed_at=manifest.warmed_at, refused=refused))
            seen |= {(code.model, code.commit) for code in manifest.code}
    unused = tuple(
        UnusedModel(manifest.model, manifest.revision, manifest.bytes)
        for _, manifest in all_manifests(cache)
        if (manifest.model, manifest.revision) not in seen
    )
    free = shutil.disk_usage(cache).free if cache.is_dir() else None
    return CacheStatus(tuple(entries), unused, free)
