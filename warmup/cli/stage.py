"""Egress none: this machine downloads a model with huggingface_hub and uploads it to the staging bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from ..errors import WarmupError
from ..models import Model
from ..worker.fetch import fetch
from ..worker.jobs import Job
from ..worker.locks import held, lock_path
from ..worker.source import Source
from ..worker.staging import blob_key, ref_key, s3_client, tree_key
from ..worker.verify import snapshot_file

_WITHOUT_DEADLINE_SECONDS = 1e9


def stage(
    model: Model, bucket: str, source: Source, cache: Path, sent: Callable[[str, int, int], None]
) -> int:
    """Put the files of `model` into `bucket`, the ref last; returns the bytes that were uploaded.

    `cache` keeps what was downloaded (`<cache>/hub`), verified as the warm-up verifies. Blobs that the bucket
    has are not sent again. `sent` is told of phase, bytes done and in all. Raises WarmupError with the fix.
    """
    job = _job(cache, sent)
    with held(lock_path(cache, model.model), check=job.check, waiting=lambda: sent("wait", 0, 0)):
        snapshot = fetch(model, cache, source, job)
    s3, total = s3_client(), snapshot.bytes
    uploaded, done, lock = 0, 0, threading.Lock()

    def add(count: int) -> None:
        nonlocal done
        with lock:
            done += count
        sent("upload", done, total)

    try:
        for file in snapshot.files:
            if _has(s3, bucket, blob_key(model.model, file), file.size):
                add(file.size)
                continue
            path = snapshot_file(snapshot.path, file)
            s3.upload_file(str(path), bucket, blob_key(model.model, file), Callback=add)
            uploaded += file.size
        tree = json.dumps([asdict(file) for file in snapshot.files])
        s3.put_object(Bucket=bucket, Key=tree_key(model.model, snapshot.commit), Body=tree.encode())
        ref = ref_key(model.model, model.revision)
        s3.put_object(Bucket=bucket, Key=ref, Body=snapshot.commit.encode())
    except (BotoCoreError, ClientError, S3UploadFailedError) as error:
        message = f"cannot upload {model.model} to s3://{bucket}: {error}. You need s3:PutObject on it"
        raise WarmupError("staging", message) from error
    return uploaded


def _has(s3: Any, bucket: str, key: str, size: int) -> bool:
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return bool(head["ContentLength"] == size)


def _job(cache: Path, sent: Callable[[str, int, int], None]) -> Job:
    """Progress that goes to the caller rather than to a file, and no deadline."""

    class Told(Job):
        def progress(self, key: str, **fields: Any) -> None:
            super().progress(key, **fields)
            now = self.document["models"][key]
            sent(now.get("phase", ""), now.get("bytes_done", 0), now.get("bytes_total", 0))

    return Told(cache, "staging", "stage", lambda: _WITHOUT_DEADLINE_SECONDS)
