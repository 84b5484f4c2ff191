"""The staging bucket: how models come to a warm-up that reaches no Hub, from a relay or from the command."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.integrity import CHUNK_BYTES
from hf_lambda.manifest import DEFAULT_REVISION, repo_folder

from ..protocol.answers import JobState, JobStatus
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest
from ..protocol.records import WrongShape
from .source import RemoteFile, place
from .threads import Stopped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 64 << 20
"""Of an upload; S3 takes 10,000 parts, and /tmp never holds that much."""
_PARTS = TransferConfig(
    multipart_threshold=PART_BYTES,
    multipart_chunksize=PART_BYTES,
    max_concurrency=4,
    preferred_transfer_client="classic",  # the other one, if it is installed, knows no callbacks that stop
)
TRANSFERS = 5
"""How often a copy may break off at one place."""
POLL_SECONDS = 1.0
"""Each look is a request to S3 that is paid for."""
RELAY_GONE_SECONDS = 240.0
"""Without a sign of a relay for so long, the warm-up no longer waits for it: the command had time to start
another one."""
_UNPLANNED = ("", "resolve", "failed", "incomplete")
"""Phases of a relay that may have written no ref."""
_MISSING = ("NoSuchKey", "404")
_FIXES = {
    "AccessDenied": "The function's role may not, or the policy of a VPC endpoint is in between: pulumi up",
    "NoSuchBucket": "The bucket is gone: pulumi up makes it again",
    "SlowDown": "S3 asks to slow down, still after all retries: run python -m warmup again",
    "PermanentRedirect": "The bucket is in another region than the stack: pulumi refresh, then pulumi up",
}
_SAME = {
    "403": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "503": "SlowDown",
    **dict.fromkeys(("301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), ""),
}


@dataclass(frozen=True)
class Advice:
    """What to do about what S3 answers, by its code, and whose error it is."""

    kind: ErrorKind
    fixes: Mapping[str, str]
    otherwise: str


STAGING = Advice(
    ErrorKind.STAGING, _FIXES, "Check the function's role and the stack's VPC endpoint: pulumi up"
)


@dataclass(frozen=True)
class StoredObject:
    """As a listing has it."""

    key: str
    size: int
    etag: str


class Bucket:
    """Objects of the bucket `name`. Methods raise WarmupError that names bucket, key and what to do.

    Keys: `<repository>/refs/<revision>` (a commit), `<repository>/trees/<commit>.json`,
    `<repository>/blobs/<name of the blob>`, `jobs/<job>.json` (the JobState of a relay).
    """

    def __init__(self, name: str, s3: S3Client | None = None, advice: Advice = STAGING) -> None:
        self.name, self._s3, self._advice = name, s3 or s3_client(), advice

    def read(self, key: str) -> bytes | None:
        """The object; None where there is none."""
        try:
            content: bytes = self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _MISSING:
                return None
            raise self.fault(error, key) from error
        return content

    def write(self, key: str, content: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self.name, Key=key, Body=content, ChecksumAlgorithm="SHA256")
        except (BotoCoreError, ClientError) as error:
            raise self.fault(error, key) from error

    def keys(self, prefix: str) -> list[str]:
        """The first thousand that begin so."""
        try:
            found = self._s3.list_objects_v2(Bucket=self.name, Prefix=prefix)
        except (BotoCoreError, ClientError) as error:
            raise self.fault(error, prefix) from error
        return [each["Key"] for each in found.get("Contents", [])]

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All that begin so, by key."""
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for each in page.get("Contents", []):
                    yield StoredObject(each["Key"], each["Size"], each["ETag"])
        except (BotoCoreError, ClientError) as error:
            raise self.fault(error, prefix) from error

    def holds(self, repo_id: str, file: RemoteFile) -> bool:
        """Whether the object is `file`, by its content.

        S3 has compared each part with a SHA-256 before there was an object; `upload` names what it had
        verified. An object of the right size without either proves nothing.
        """
        key = blob_key(repo_id, file)
        try:
            head = self._s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _MISSING:
                return False
            raise self.fault(error, key) from error
        checksum = head.get("ChecksumSHA256", "")
        if head["ContentLength"] != file.size or not checksum or head["Metadata"].get("blob") != file.blob:
            return False
        # Of several parts it is the hash of their hashes: both then end in how many there are.
        whole = "-" not in checksum and "-" not in head["ETag"]
        return not (whole and file.sha256) or base64.b64decode(checksum).hex() == file.sha256

    def upload(
        self, path: Path, repo_id: str, file: RemoteFile, sent: Callable[[int], None], stop: threading.Event
    ) -> None:
        """Put `path`, which was verified to be `file`, into the bucket. Raises Stopped once `stop` is set."""
        key = blob_key(repo_id, file)

        def count(number: int) -> None:
            if stop.is_set():
                raise Stopped
            sent(number)

        metadata = {"blob": file.blob}
        try:
            if file.size < PART_BYTES:
                with path.open("rb") as body:
                    count(0)
                    self._s3.put_object(
                        Bucket=self.name, Key=key, Body=body, ChecksumAlgorithm="SHA256", Metadata=metadata
                    )
                sent(file.size)
                return
            extra = {"ChecksumAlgorithm": "SHA256", "Metadata": metadata}
            self._s3.upload_file(str(path), self.name, key, ExtraArgs=extra, Callback=count, Config=_PARTS)
        except (BotoCoreError, ClientError, S3UploadFailedError) as error:
            if stop.is_set():
                raise Stopped from error
            raise self.fault(_cause(error), key) from error

    def copy(
        self,
        repo_id: str,
        file: RemoteFile,
        target: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> bool:
        """Write the object of `file` into `target`; False where there is none."""
        return self.copy_object(blob_key(repo_id, file), target, received, stop)

    def copy_object(
        self,
        key: str,
        target: Path,
        received: Callable[[int], None],
        stop: threading.Event,
        etag: str = "",
    ) -> bool:
        """Write an object into `target`; False where there is none. What broke off goes on where it was.

        etag: which one it has to be.
        """
        done, failures = 0, 0
        with target.open("wb") as stream:
            while True:
                before = done
                try:
                    rest: dict[str, Any] = {"Range": f"bytes={done}-"} if done else {}
                    same: dict[str, Any] = {"IfMatch": etag} if etag else {}
                    answer = self._s3.get_object(Bucket=self.name, Key=key, **rest, **same)
                    etag = answer["ETag"]
                    for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                        if stop.is_set():
                            raise Stopped
                        stream.write(chunk)
                        done += len(chunk)
                        received(len(chunk))
                    return True
                except (BotoCoreError, ClientError) as error:
                    if _code(error) in _MISSING:
                        return False
                    failures = 1 if done > before else failures + 1
                    # A refusal was retried by the client; what broke off on the way was not.
                    if isinstance(error, ClientError) or failures >= TRANSFERS:
                        raise self.fault(error, key) from error

    def delete(self, keys: Sequence[str]) -> None:
        """At most a thousand."""
        try:
            objects: Any = [{"Key": key} for key in keys]
            answer = self._s3.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        except (BotoCoreError, ClientError) as error:
            raise self.fault(error, keys[0]) from error
        for each in answer.get("Errors", []):
            raise WarmupError(
                ErrorKind.STAGING, f"s3://{self.name}/{each.get('Key')} stays: {each.get('Code')}"
            )

    def fault(self, error: Exception, key: str) -> WarmupError:
        """What S3 answers, and what to do about it."""
        code = _code(error)
        said = _SAME.get(code, code) or "PermanentRedirect"
        detail = "" if isinstance(error, ClientError) else f" ({error})"
        fix = self._advice.fixes.get(said, self._advice.otherwise)
        return WarmupError(self._advice.kind, f"s3://{self.name}/{key}: {said}{detail}. {fix}.")


class RelayWatch:
    """The newest of the relay's jobs whose names begin with `name`: it may be called several times."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket, self._prefix = bucket, f"jobs/{name}-"
        self._lock = threading.Lock()
        self._state: JobState | None = None
        self._read_at = -POLL_SECONDS
        self._changed_at = time.monotonic()

    def state(self) -> JobState | None:
        """None: no relay was there, or none shows a sign of life any more."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= POLL_SECONDS:
                found, self._read_at = self._newest(), now
                if found != self._state:
                    self._state, self._changed_at = found, now
            return self._state

    @property
    def silent_s(self) -> float:
        """Since the state last changed; a relay that runs writes its clock into it."""
        return time.monotonic() - self._changed_at

    def _newest(self) -> JobState | None:
        rounds = {
            int(number): key
            for key in self._bucket.keys(self._prefix)
            if (number := key.removeprefix(self._prefix).removesuffix(".json")).isdigit()
        }
        return read_state(self._bucket, rounds[max(rounds)]) if rounds else None


class BucketSource:
    """Reads what a relay, or the command, put into `bucket`.

    relayed: a relay did; it stages whole trees, and keeps nothing that the cache has. watch: of the relay
    that is at work meanwhile, for which this waits; `waits` is told when it does and when no longer.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        relayed: bool = False,
        watch: RelayWatch | None = None,
        waits: Callable[[bool], None] = lambda waiting: None,
    ) -> None:
        self._bucket, self._watch, self._waits, self._relayed = bucket, watch, waits, relayed
        self.whole_trees = relayed  # the command uploads the tree as its version selected of it

    def resolve(self, repo_id: str, revision: str | None, stop: threading.Event) -> str:
        key = ref_key(repo_id, revision)
        if self._watch:
            asked = ModelRequest(repo_id, revision, ()).key

            def is_planned(state: JobState | None) -> bool:
                # What an earlier relay left may be another commit.
                return state is not None and state.progress(asked).phase not in _UNPLANNED

            self._wait(is_planned, repo_id, stop)
        return self._read(key, repo_id).decode(errors="replace").strip()

    def tree(self, repo_id: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        key = tree_key(repo_id, commit)
        try:
            return [RemoteFile.from_json(entry) for entry in json.loads(self._read(key, repo_id))]
        except (WrongShape, ValueError, TypeError, RecursionError) as error:
            message = (
                f"s3://{self._bucket.name}/{key} is no list of files ({error}). Stage again: python -m warmup"
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
            if self._watch:
                self._wait(lambda state: self._bucket.holds(repo_id, file), repo_id, stop)
            if not self._bucket.copy(repo_id, file, target, received, stop):
                raise self._not_staged(repo_id)

        place(hub_cache, repo_id, commit, file, write)

    def release(self, repo_id: str, files: Sequence[RemoteFile]) -> None:
        """Staged copies of `files` may go, unless the command would have to upload them again."""
        if not self._relayed:
            return
        staged = set(self._bucket.keys(f"{repo_folder(repo_id)}/blobs/"))
        keys = sorted({blob_key(repo_id, file) for file in files} & staged)
        if keys:
            self._bucket.delete(keys)

    def _wait(self, there: Callable[[JobState | None], bool], repo_id: str, stop: threading.Event) -> None:
        """Until `there`; raises what the relay failed with."""
        watch, waiting = self._watch, False
        assert watch is not None
        began = time.monotonic()
        while True:
            state = watch.state()  # first: what it has done when it says so, is there
            if there(state):
                break
            if stop.is_set():
                raise Stopped
            if state and state.status is JobStatus.FAILED:
                raise _error_of(state) or self._not_staged(repo_id)
            silent_s = min(watch.silent_s, time.monotonic() - began)
            if (state and state.status is JobStatus.DONE) or silent_s > RELAY_GONE_SECONDS:
                raise self._not_staged(repo_id)
            if not waiting:
                waiting = True
                self._waits(True)
            stop.wait(POLL_SECONDS)
        if waiting:
            self._waits(False)

    def _read(self, key: str, repo_id: str) -> bytes:
        content = self._bucket.read(key)
        if content is None:
            raise self._not_staged(repo_id)
        return content

    def _not_staged(self, repo_id: str) -> WarmupError:
        message = f"{repo_id} is not in s3://{self._bucket.name}. `python -m warmup` puts it there."
        return WarmupError(ErrorKind.NOT_STAGED, message)


def s3_client() -> S3Client:
    return boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 5}))


def ref_key(repo_id: str, revision: str | None) -> str:
    return f"{repo_folder(repo_id)}/refs/{revision or DEFAULT_REVISION}"


def tree_key(repo_id: str, commit: str) -> str:
    return f"{repo_folder(repo_id)}/trees/{commit}.json"


def tree_bytes(files: Sequence[RemoteFile]) -> bytes:
    """The files of a commit, as `BucketSource.tree` reads them."""
    return json.dumps([file.to_json() for file in files]).encode()


def blob_key(repo_id: str, file: RemoteFile) -> str:
    return f"{repo_folder(repo_id)}/blobs/{file.blob}"


def state_key(job: str) -> str:
    return f"jobs/{job}.json"


def read_state(bucket: Bucket, key: str) -> JobState | None:
    """The state of a relay's job; None where there is none that can be read."""
    content = bucket.read(key)
    try:
        return None if content is None else JobState.from_json(json.loads(content))
    except (WrongShape, ValueError, RecursionError):
        return None


def _error_of(state: JobState) -> WarmupError | None:
    errors = [each.error for each in (state.models or {}).values()]
    error = next(filter(None, errors), state.error)
    return WarmupError(error.kind, error.message) if error else None


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__


def _cause(error: Exception) -> Exception:
    """What boto3 wraps."""
    while isinstance(error, S3UploadFailedError) and isinstance(
        error.__context__ or error.__cause__, Exception
    ):
        inner = error.__cause__ or error.__context__
        assert isinstance(inner, Exception)
        error = inner
    return error
