"""Warms one model: fetch, verify, prepare, publish, under the lock of its repository."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from hf_lambda.atomic import make_folder
from hf_lambda.manifest import Manifest, NotPreparedEntry, PreparedEntry, repo_folder
from hf_lambda.tasks import head_of

from ..prepare import (
    MEMORY_MB,
    RECIPE,
    AdapterSnapshot,
    NotPrepared,
    PrepareFailed,
    PrepareRequest,
    Tolerance,
    Unfinished,
    prepare,
)
from ..protocol.answers import FetchedModel, WarmedModel
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest, Use
from ..protocol.records import Json
from .fetch import adapter_request, fetch, fetch_code
from .jobs import MARGIN_SECONDS, Job, OutOfTime
from .locks import lock, repository_lock
from .logs import log
from .publish import Refusals, kept_refusals, publish, published, snapshot_of, warmed_model
from .source import ModelSource, Snapshot
from .suitability import Suitability, check_suitability

_TOLERANCE_KEYS = {
    "probability": "probability",
    "cosine": "cosine",
    "sameText": "same_text",
    "int8Kl": "int8_kl",
    "int8SameChoice": "int8_same_choice",
    "int8Perplexity": "int8_perplexity",
    "int4Kl": "int4_kl",
    "int4SameChoice": "int4_same_choice",
    "int4Perplexity": "int4_perplexity",
}


def warm(
    model: ModelRequest,
    cache: Path,
    source: ModelSource,
    job: Job,
    environ: Mapping[str, str] = os.environ,
) -> WarmedModel:
    """Fetch, verify, prepare and publish `model`.

    Safe to repeat, to interrupt and to run twice at once: the second run waits for the first and then finds
    everything there. Raises WarmupError with the fix, OutOfTime near the deadline.
    """
    began = time.monotonic()
    with (
        lock(repository_lock(cache, model.repo_id), check=job.check, waiting=lambda: _waits(model, job)),
        kept_refusals(cache, model) as refusals,
    ):
        served, snapshot = _fetch(model, cache, source, job, refusals)
        return _prepare_and_publish(served, cache, snapshot, job, environ, began, refusals, source)


def _fetch(
    model: ModelRequest, cache: Path, source: ModelSource, job: Job, refusals: Refusals
) -> tuple[ModelRequest, Snapshot]:
    """The snapshot, and `model` without the uses for which the repository lacks something."""

    def fetch_for(*uses: Use) -> Snapshot:
        asked = replace(model, uses=uses)
        snapshot = fetch(asked, cache, source, job)
        fetch_code(asked, snapshot.path, cache, source, job)
        return snapshot

    try:
        return model, fetch_for(*model.uses)
    except WarmupError as error:
        if len(model.uses) < 2 or not error.kind.is_verdict:
            raise
    served: list[Use] = []
    refused: list[tuple[Use, WarmupError]] = []
    commit = ""
    for use in model.uses:
        try:
            snapshot = fetch_for(*served, use)
            served.append(use)
            commit = snapshot.commit
        except WarmupError as error:
            if not error.kind.is_verdict:
                raise
            refused.append((use, error))
    for use, verdict in refused:
        refusals.add(use, verdict, commit)
    return refusals.others(model), snapshot


def fetch_only(model: ModelRequest, cache: Path, source: ModelSource, job: Job) -> FetchedModel:
    """The first half of `warm`: nothing is published."""
    with lock(repository_lock(cache, model.repo_id), check=job.check, waiting=lambda: _waits(model, job)):
        snapshot = fetch(model, cache, source, job)
    return FetchedModel(model.repo_id, snapshot.commit, len(snapshot.files), snapshot.bytes)


def prepare_only(
    model: ModelRequest, cache: Path, job: Job, environ: Mapping[str, str] = os.environ
) -> WarmedModel:
    """The second half of `warm`, for a snapshot that is already there and verified."""
    began = time.monotonic()
    manifest = published(cache, model)
    if manifest is None:
        raise WarmupError(ErrorKind.COLD, f"{model.key} is not in the cache: warm it first")
    with (
        lock(repository_lock(cache, model.repo_id), check=job.check, waiting=lambda: _waits(model, job)),
        kept_refusals(cache, model) as refusals,
    ):
        snapshot = snapshot_of(cache, manifest)
        return _prepare_and_publish(model, cache, snapshot, job, environ, began, refusals)


def tolerance_of(environ: Mapping[str, str]) -> Tolerance:
    """PREPARE_TOLERANCE: the config key `tolerance` as JSON; what it leaves out keeps Tolerance's default."""
    given = json.loads(environ.get("PREPARE_TOLERANCE") or "{}")
    return Tolerance(**{_TOLERANCE_KEYS[key]: value for key, value in given.items()})


def _prepare_and_publish(
    model: ModelRequest,
    cache: Path,
    snapshot: Snapshot,
    job: Job,
    environ: Mapping[str, str],
    began: float,
    refusals: Refusals,
    source: ModelSource | None = None,
) -> WarmedModel:
    """source: of adapters; None: they have to be in the cache."""
    suitability = check_suitability(model, cache, snapshot, job)
    for use, error in suitability.refused:
        refusals.add(use, error, snapshot.commit)
    model = refusals.others(model)
    before = published(cache, model)
    if before is not None and before.commit != snapshot.commit:
        _check_suited(refusals.model, cache, before, snapshot, suitability, job)
    if before is None:
        # torch can serve it from now on. Never over another commit's manifest: endpoints that need the
        # prepared model would go down until the new one is prepared.
        publish(cache, model, snapshot, [], [], suitability.not_compared)
    job.check()
    prepared, refused = _prepare_uses(model, cache, snapshot, job, environ, source, refusals)
    model = refusals.others(model)
    _check_served(model, before, snapshot, refused)
    # What was refused just now is not served as it was prepared before, for other samples or bounds.
    settled = {(entry.head, entry.requested) for entry in prepared}
    settled |= {(entry.head, entry.requested) for entry in refused}
    older = [
        entry
        for entry in _still_valid(cache, before, snapshot.commit)
        if (entry.head, entry.requested) not in settled
    ]
    job.progress(model.key, phase="publish", note="")
    manifest = publish(cache, model, snapshot, [*prepared, *older], refused, suitability.not_compared)
    seconds = round(time.monotonic() - began, 2)
    log("warm", model=model.key, commit=snapshot.commit, bytes=snapshot.bytes, seconds=seconds)
    return warmed_model(manifest, seconds=seconds, refused=refusals.found)


def _check_suited(
    model: ModelRequest,
    cache: Path,
    before: Manifest,
    snapshot: Snapshot,
    suitability: Suitability,
    job: Job,
) -> None:
    """Raises WarmupError rather than move an endpoint to a commit that is refused for it, from one that is
    not."""
    for use, error in suitability.refused:
        try:
            at_first = check_suitability(replace(model, uses=(use,)), cache, snapshot_of(cache, before), job)
        except (WarmupError, OSError):
            continue  # nor could that one be served
        if not at_first.refused:
            raise WarmupError(
                ErrorKind.NOT_PREPARED,
                f"{model.key} is now {snapshot.commit[:12]}, which is refused for {use.task}: "
                f"{before.commit[:12]} goes on serving. {error}",
            ) from error


def _check_served(
    model: ModelRequest,
    before: Manifest | None,
    snapshot: Snapshot,
    refused: Sequence[NotPreparedEntry],
) -> None:
    """Raises WarmupError rather than move an endpoint that needs onnxruntime to a commit without it."""
    if before is None or before.commit == snapshot.commit:
        return
    served = {(entry.head, entry.requested) for entry in before.prepared}
    needed = {_folder_key(use) for use in model.uses if use.engine == "onnx"}
    for entry in refused:
        if (entry.head, entry.requested) in served & needed:
            raise WarmupError(
                ErrorKind.NOT_PREPARED,
                f"{model.key} is now {snapshot.commit[:12]}, which cannot be prepared for {entry.task}, and "
                f"the script says engine='onnx': {before.commit[:12]} goes on serving. {entry.reason}",
            )


def _prepare_uses(
    model: ModelRequest,
    cache: Path,
    snapshot: Snapshot,
    job: Job,
    environ: Mapping[str, str],
    source: ModelSource | None,
    refusals: Refusals,
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
        key = _folder_key(use)
        if key in prepared or refusals.has(use):
            continue
        try:
            prepared[key] = _prepare(model, cache, snapshot, use, job, environ, source)
            refused.pop(key, None)
        except Unfinished as unfinished:
            raise OutOfTime from unfinished
        except PrepareFailed as failure:
            message = f"{model.key} was not prepared for {use.task}: {failure.reason}"
            if not failure.kind.is_verdict:
                # Nothing was learnt of the model, so what is published of it stays.
                raise WarmupError(failure.kind, message) from failure
            for each in _sharing(model, key):
                refusals.add(each, WarmupError(failure.kind, message), snapshot.commit)
        except WarmupError as error:  # of its adapter
            if not error.kind.is_verdict:
                raise
            for each in _sharing(model, key):
                refusals.add(each, error, snapshot.commit)
        except NotPrepared as refusal:
            refused[key] = NotPreparedEntry(*key, refusal.reason, use.task)
            log("not prepared", model=model.key, task=use.task, reason=refusal.reason)
    return [*prepared.values()], [*refused.values()]


def _prepare(
    model: ModelRequest,
    cache: Path,
    snapshot: Snapshot,
    use: Use,
    job: Job,
    environ: Mapping[str, str],
    source: ModelSource | None,
) -> PreparedEntry:
    steps: list[str] = []

    def progress(step: str) -> None:
        steps.append(step)
        job.progress(model.key, phase="prepare", note=f"{use.task}: {step}", steps=len(steps))
        log("prepare", model=model.key, task=use.task, step=step)

    job.progress(model.key, phase="prepare", note=use.task)
    sharing = _sharing(model, _folder_key(use))
    contexts = [each.max_context for each in sharing]
    request = PrepareRequest(
        use.task,
        model.repo_id,
        snapshot.commit,
        snapshot.path,
        precision=use.precision,
        samples=_samples(model, _folder_key(use)),
        tolerance=tolerance_of(environ),
        # A folder that several functions serve has to fit the smallest of them.
        memory_mb=min((each.memory_mb for each in sharing if each.memory_mb), default=MEMORY_MB),
        max_context=None if None in contexts else max(filter(None, contexts), default=None),
        adapter=_adapter(use, cache, source, job, model.key) if use.adapter else None,
    )
    into = cache / "prepared" / repo_folder(model.repo_id) / snapshot.commit
    make_folder(into, within=cache)
    entry = prepare(
        request,
        into=into,
        progress=progress,
        remaining_s=job.remaining_s,
    )
    if steps:  # none where a valid folder was there already
        figures = {"precision": entry.precision, "seconds": entry.seconds, "peak_mb": entry.peak_mb}
        log("prepared", model=model.key, task=use.task, **figures)
    return replace(entry, path=str(Path(entry.path).relative_to(cache.absolute())))


def _adapter(use: Use, cache: Path, source: ModelSource | None, job: Job, key: str) -> AdapterSnapshot:
    """The files of the adapter of `use`, which is a repository of its own and may be another job's too."""
    wanted = adapter_request(use)
    if source is None:
        manifest = published(cache, wanted)
        if manifest is None:
            raise WarmupError(ErrorKind.COLD, f"{wanted.key} is not in the cache: warm it first")
        snapshot = snapshot_of(cache, manifest)
    else:
        job.progress(key, phase="prepare", note=f"adapter {wanted.key}")
        # Its progress is the other job's to tell.
        quiet = Job(job.name, job.action, lambda: job.remaining_s() + MARGIN_SECONDS)
        with lock(repository_lock(cache, wanted.repo_id), check=job.check, waiting=lambda: None):
            snapshot = fetch(wanted, cache, source, quiet)
    return AdapterSnapshot(wanted.repo_id, wanted.revision, snapshot.commit, snapshot.path)


def _folder_key(use: Use) -> tuple[str, str]:
    return head_of(use.task), use.requested


def _samples(model: ModelRequest, key: tuple[str, str]) -> tuple[Json, ...] | None:
    return tuple(sample for use in _sharing(model, key) for sample in use.samples or ()) or None


def _sharing(model: ModelRequest, key: tuple[str, str]) -> list[Use]:
    """The uses that one prepared folder is for."""
    return [use for use in model.uses if use.engine != "torch" and _folder_key(use) == key]


def _still_valid(cache: Path, manifest: Manifest | None, commit: str) -> list[PreparedEntry]:
    """Prepared entries of an older manifest that this recipe would make of `commit` on this machine."""
    if manifest is None or manifest.commit != commit:
        return []
    here = (platform.machine(), version("onnxruntime"), RECIPE)
    return [
        entry
        for entry in manifest.prepared
        if (entry.machine, entry.onnxruntime, entry.recipe) == here and (cache / entry.path).is_dir()
    ]


def _waits(model: ModelRequest, job: Job) -> None:
    log("waits", model=model.key, reason="another run warms this repository")
    job.progress(model.key, phase="wait", note="another run warms this repository")
