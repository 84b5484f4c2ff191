"""Fills a folder with the models of an endpoint, on a machine that reaches the Hub."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from discovery import Script
from hf_lambda.manifest import Manifest
from hf_lambda.repo_id import is_bucket_folder, is_model_folder

from ..cli.access import Access
from ..cli.own_bucket import bring
from ..protocol.answers import FetchedModel, ModelProgress
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action
from ..protocol.models import ModelRequest, models_of_scripts
from ..worker.fetch import fetch, with_adapters
from ..worker.folder import FolderSource
from ..worker.jobs import Job
from ..worker.locks import lock, repository_lock
from ..worker.prune import prune
from ..worker.publish import publish, published
from ..worker.source import ModelSource, Snapshot

WITHOUT_DEADLINE_SECONDS = 1e9
_MAKE_ROOM = "Make room, or fetch to another disk, and run it again: what arrived whole stays"
Show = Callable[[str, ModelProgress], None]


def fetch_endpoint(script: Script, folder: Path, hub: ModelSource, show: Show) -> tuple[FetchedModel, ...]:
    """Bring every model of `script` into `folder`, which is a cache as the warm-up fills it, unprepared.

    Safe to repeat and to interrupt; what is there and right is not asked for again, and what the script no
    longer uses goes. Raises WarmupError with the fix.
    """
    models = with_adapters(models_of_scripts([script]))
    with _worded(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fetched = tuple(_fetch(model, script, folder, hub, show) for model in models)
        prune(folder, [(model.repo_id, model.revision) for model in models])
    return fetched


@contextlib.contextmanager
def _worded(folder: Path) -> Iterator[None]:
    """What the file system of the operator says, as an error of the command; the block fills `folder`."""
    try:
        yield
    except WarmupError as error:
        if error.kind is not ErrorKind.DISK_FULL:
            raise
        # Its last sentence is for a stack's cache.
        raise WarmupError(error.kind, f"{str(error).rpartition('. ')[0]}. {_MAKE_ROOM}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WarmupError(ErrorKind.DISK_FULL, f"the disk of {folder} is full. {_MAKE_ROOM}") from error
        fix = "Name a folder that can be written to, or remove what is in its place"
        raise WarmupError(ErrorKind.CACHE, f"{error.filename or folder}: {error.strerror}. {fix}") from error


def _fetch(model: ModelRequest, script: Script, folder: Path, hub: ModelSource, show: Show) -> FetchedModel:
    if model.runs_code:
        raise WarmupError(
            ErrorKind.REMOTE_CODE,
            f"{script.name}: {model.repo_id} runs code of its repository; that takes storage efs, where the "
            "code is tried first",
        )
    if is_bucket_folder(model.repo_id):
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        bring(model.repo_id, script.path.parent, Access(region), lambda progress: show(model.key, progress))
    source = FolderSource(script.path.parent) if is_model_folder(model.repo_id) else hub
    job = Job("fetch", Action.FETCH, lambda: WITHOUT_DEADLINE_SECONDS, show)
    waits = ModelProgress(phase="wait")
    with lock(
        repository_lock(folder, model.repo_id), check=job.check, waiting=lambda: show(model.key, waits)
    ):
        snapshot = fetch(model, folder, source, job)
        # Written anew it says less than before, where this machine has prepared the model meanwhile.
        if not _says(published(folder, model), snapshot):
            # Without a time, so that another machine brings the same: else it would be another image.
            publish(folder, model, snapshot, [], [], warmed_at="")
    job.progress(model.key, phase="done", note="")
    return FetchedModel(model.repo_id, snapshot.commit, len(snapshot.files), snapshot.bytes)


def _says(manifest: Manifest | None, snapshot: Snapshot) -> bool:
    if manifest is None or manifest.commit != snapshot.commit:
        return False
    return {file.path for file in manifest.files} == {file.path for file in snapshot.files}
