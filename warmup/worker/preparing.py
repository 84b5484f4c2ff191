"""Prepares a fetched model for each of its uses; what cannot be prepared says why and stays on torch."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hf_lambda.manifest import Manifest, NotPreparedEntry, PreparedEntry, repo_folder
from hf_lambda.tasks import head_of

from ..errors import OutOfTime
from ..models import Model, Use
from ..prepare import RECIPE, NotPrepared, Tolerance, Unfinished, prepare
from .jobs import Job
from .logs import log
from .plan import Snapshot

_FIELDS = {"probability": "probability", "cosine": "cosine", "sameText": "same_text"}


def prepare_uses(
    cache: Path, model: Model, snapshot: Snapshot, job: Job, environ: Mapping[str, str] = os.environ
) -> tuple[list[PreparedEntry], list[NotPreparedEntry]]:
    """`prepared` and `not_prepared` of the manifest for every use that may run on onnxruntime.

    Uses of one head and precision share a folder, which has to pass with the samples of all of them.
    Raises OutOfTime near the deadline; the steps that are done are found by the next call.
    """
    prepared: dict[tuple[str, str], PreparedEntry] = {}
    refused: dict[tuple[str, str], NotPreparedEntry] = {}
    for use in model.uses:
        if use.engine == "torch":
            continue
        key = _key(use)
        if key in prepared:
            continue
        try:
            prepared[key] = _prepare(cache, model, snapshot, use, _samples(model, key), job, environ)
            refused.pop(key, None)
        except Unfinished as unfinished:
            raise OutOfTime from unfinished
        except NotPrepared as refusal:
            refused[key] = NotPreparedEntry(*key, refusal.reason, use.task)
            log("not prepared", model=model.key, task=use.task, reason=refusal.reason)
    return [*prepared.values()], [*refused.values()]


def _key(use: Use) -> tuple[str, str]:
    return head_of(use.task), use.precision


def _samples(model: Model, key: tuple[str, str]) -> list[Any] | None:
    uses = [use for use in model.uses if use.engine != "torch" and _key(use) == key]
    return [sample for use in uses for sample in use.gate_samples or []] or None


def still_valid(cache: Path, manifest: Manifest | None, commit: str) -> list[PreparedEntry]:
    """Prepared entries of an older manifest that this recipe would make of `commit` on this machine."""
    if manifest is None or manifest.commit != commit:
        return []
    here = (platform.machine(), version("onnxruntime"), RECIPE)
    return [
        entry
        for entry in manifest.prepared
        if (entry.machine, entry.onnxruntime, entry.recipe) == here and (cache / entry.path).is_dir()
    ]


def tolerance_of(environ: Mapping[str, str]) -> Tolerance:
    """PREPARE_TOLERANCE: the config key `tolerance` as JSON; what it leaves out keeps Tolerance's default."""
    given = json.loads(environ.get("PREPARE_TOLERANCE") or "{}")
    return Tolerance(**{_FIELDS[key]: value for key, value in given.items()})


def _prepare(
    cache: Path,
    model: Model,
    snapshot: Snapshot,
    use: Use,
    samples: list[Any] | None,
    job: Job,
    environ: Mapping[str, str],
) -> PreparedEntry:
    steps: list[str] = []

    def progress(step: str) -> None:
        steps.append(step)
        job.progress(model.key, phase="prepare", note=f"{use.task}: {step}", steps=len(steps))
        log("prepare", model=model.key, task=use.task, step=step)

    job.progress(model.key, phase="prepare", note=use.task)
    entry = prepare(
        use.task,
        snapshot.path,
        requested=use.precision,
        into=cache / "prepared" / repo_folder(model.model) / snapshot.commit,
        model=model.model,
        commit=snapshot.commit,
        samples=samples,
        tolerance=tolerance_of(environ),
        progress=progress,
        remaining_s=job.remaining_s,
    )
    if steps:  # none where a valid folder was there already
        made = {name: entry[name] for name in ("precision", "seconds", "peak_mb")}
        log("prepared", model=model.key, task=use.task, **made)
    return PreparedEntry.from_json({**entry, "path": str(Path(entry["path"]).relative_to(cache.absolute()))})
