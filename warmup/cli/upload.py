"""Egress none: this machine downloads a model with huggingface_hub and uploads it to the staging bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from ..protocol.answers import ModelProgress
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action
from ..protocol.models import ModelRequest
from ..worker.bucket import blob_key, ref_key, tree_key
from ..worker.fetch import fetch
from ..worker.jobs import Job
from ..worker.locks import lock, repository_lock
from ..worker.remote_code import code_requests
from ..worker.source import ModelSource
from ..worker.verify import snapshot_file
from .access import Access, Client

_WITHOUT_DEADLINE_SECONDS = 1e9


def upload_model(
    model: ModelRequest,
    bucket: str,
    source: ModelSource,
    cache: Path,
    access: Access,
    show: Callable[[ModelProgress], None],
) -> int:
    """Put the files of `model` into `bucket`, the ref last; returns the bytes that were uploaded.

    `cache` keeps what was downloaded (`<cache>/hub`), verified as the warm-up verifies. Blobs that the bucket
    has are not sent again. Raises WarmupError with the fix.
    """
    s3 = access.client("s3")  # before the download: without credentials it would be for nothing
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
            key = blob_key(model.repo_id, file)
            if _has(s3, bucket, key, file.size):
                add(file.size)
                continue
            s3.upload_file(str(snapshot_file(snapshot.path, file)), bucket, key, Callback=add)
            uploaded += file.size
        tree = json.dumps([file.to_json() for file in snapshot.files])
        s3.put_object(Bucket=bucket, Key=tree_key(model.repo_id, snapshot.commit), Body=tree.encode())
        ref = ref_key(model.repo_id, model.revision)
        s3.put_object(Bucket=bucket, Key=ref, Body=snapshot.commit.encode())
    except (BotoCoreError, ClientError, S3UploadFailedError) as error:
        if isinstance(error, BotoCoreError | ClientError) and (problem := access.problem(error)):
            raise problem from error
        message = f"cannot upload {model.repo_id} to s3://{bucket}: {error}. You need s3:PutObject on it"
        raise WarmupError(ErrorKind.STAGING, message) from error
    return uploaded + sum(upload_model(other, bucket, source, cache, access, show) for other in others)


def _has(s3: Client, bucket: str, key: str, size: int) -> bool:
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return bool(head["ContentLength"] == size)
