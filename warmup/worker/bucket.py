"""The staging bucket as a source of models: the way into a stack whose functions have no egress."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.integrity import CHUNK_BYTES
from hf_lambda.manifest import DEFAULT_REVISION, repo_folder

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.records import WrongShape
from .blobs import place
from .source import RemoteFile
from .threads import Stopped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class BucketSource:
    """Reads what `warmup.cli.upload` uploaded to `bucket`.

    Keys: `<repository>/refs/<revision>` (a commit), `<repository>/trees/<commit>.json`,
    `<repository>/blobs/<name of the blob>`.
    """

    whole_trees = False  # of a commit, what was selected by the version that uploaded it

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._s3 = s3_client()

    def resolve(self, repo_id: str, revision: str | None, stop: threading.Event) -> str:
        return self._read(ref_key(repo_id, revision), repo_id).decode().strip()

    def tree(self, repo_id: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        key = tree_key(repo_id, commit)
        try:
            return [RemoteFile.from_json(entry) for entry in json.loads(self._read(key, repo_id))]
        except (WrongShape, ValueError, TypeError) as error:
            message = (
                f"s3://{self._bucket}/{key} is no list of files ({error}). Upload again: python -m warmup"
            )
            raise WarmupError(ErrorKind.STAGING, message) from error

    def download(
        self,
        repo_id: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        def write(target: Path) -> None:
            self._copy(blob_key(repo_id, file), repo_id, target, received, stop)

        place(hub_cache, repo_id, commit, file, write)

    def _copy(
        self, key: str, repo_id: str, target: Path, received: Callable[[int], None], stop: threading.Event
    ) -> None:
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            with target.open("wb") as file:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    if stop.is_set():
                        raise Stopped
                    file.write(chunk)
                    received(len(chunk))
        except (BotoCoreError, ClientError) as error:
            raise self._fault(error, key, repo_id) from error

    def _read(self, key: str, repo_id: str) -> bytes:
        try:
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise self._fault(error, key, repo_id) from error
        return content

    def _fault(self, error: BotoCoreError | ClientError, key: str, repo_id: str) -> WarmupError:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        if code in ("NoSuchKey", "404"):
            message = (
                f"{repo_id} is not in s3://{self._bucket}. `python -m warmup` on your machine puts it there."
            )
            return WarmupError(ErrorKind.NOT_STAGED, message)
        return WarmupError(
            ErrorKind.STAGING,
            f"s3://{self._bucket}/{key}: {code}. Check the warm-up's role and VPC endpoint.",
        )


def s3_client() -> S3Client:
    return boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 5}))


def ref_key(repo_id: str, revision: str | None) -> str:
    return f"{repo_folder(repo_id)}/refs/{revision or DEFAULT_REVISION}"


def tree_key(repo_id: str, commit: str) -> str:
    return f"{repo_folder(repo_id)}/trees/{commit}.json"


def blob_key(repo_id: str, file: RemoteFile) -> str:
    return f"{repo_folder(repo_id)}/blobs/{file.blob}"
