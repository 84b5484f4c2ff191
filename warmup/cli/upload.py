"""Egress none: this machine downloads a model with huggingface_hub and uploads it to the staging bucket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from ..protocol.answers import ModelProgress
from ..protocol.errors import WarmupError
from ..protocol.events import Action
from ..protocol.models import ModelRequest
from ..worker.bucket import Bucket, ref_key, tree_bytes, tree_key
from ..worker.fetch import code_requests, fetch
from ..worker.jobs import Job
from ..worker.locks import lock, repository_lock
from ..worker.source import ModelSource, snapshot_file
from .access import Access

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WITHOUT_DEADLINE_SECONDS = 1e9


def upload_model(
    model: ModelRequest,
    name: str,
    source: ModelSource,
    cache: Path,
    access: Access,
    show: Callable[[ModelProgress], None],
) -> int:
    """Put the files of `model` into the bucket `name`, the ref last; returns the bytes that were uploaded.

    `cache` keeps what was downloaded (`<cache>/hub`), verified as the warm-up verifies. Blobs that the bucket
    has are not sent again. Raises WarmupError with the fix.
    """
    bucket = Bucket(
        name, cast("S3Client", access.client("s3"))
    )  # before the download, which would be for nothing without
    job = Job("upload", Action.FETCH, lambda: _WITHOUT_DEADLINE_SECONDS, lambda _, progress: show(progress))
    waits = ModelProgress(phase="wait")
    with lock(repository_lock(cache, model.repo_id), check=job.check, waiting=lambda: show(waits)):
        snapshot = fetch(model, cache, source, job)
    others = code_requests(model, snapshot.path, source, job)
    uploaded, done, counting = 0, 0, threading.Lock()

    def add(count: int) -> None:
        nonlocal done
        with counting:
            done += count
        show(ModelProgress(phase="upload", bytes_done=done, bytes_total=snapshot.bytes))

    try:
        for file in snapshot.files:
            if bucket.holds(model.repo_id, file):
                add(file.size)
                continue
            bucket.upload(snapshot_file(snapshot.path, file), model.repo_id, file, add, threading.Event())
            uploaded += file.size
        bucket.write(tree_key(model.repo_id, snapshot.commit), tree_bytes(snapshot.files))
        bucket.write(ref_key(model.repo_id, model.revision), snapshot.commit.encode())
    except WarmupError as error:
        cause = error.__cause__
        if isinstance(cause, BotoCoreError | ClientError) and (problem := access.problem(cause)):
            raise problem from error
        message = f"cannot upload {model.repo_id}: {error} You need s3:PutObject and s3:GetObject on it"
        raise WarmupError(error.kind, message) from error
    return uploaded + sum(upload_model(other, name, source, cache, access, show) for other in others)
