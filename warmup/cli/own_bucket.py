"""Models in a bucket of one's own, `s3://bucket/prefix`: brought beside the scripts, then used as folders.

The machine that runs the command reads the bucket, as whom the stack's `aws:` config or the environment says.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.atomic import replace_text
from hf_lambda.manifest import repo_folder
from hf_lambda.repo_id import S3

from ..protocol.answers import ModelProgress
from ..protocol.errors import ErrorKind, WarmupError
from ..worker.bucket import Advice, Bucket, StoredObject
from ..worker.folder import ARCHIVE, BROUGHT, MOST_FILES, folder_of
from ..worker.source import path_problem
from .access import Access

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ETAGS = ".etags.json"
_YOURS = Advice(
    ErrorKind.BUCKET,
    {
        "AccessDenied": "Your credentials may not: they need s3:ListBucket and s3:GetObject on it",
        "NoSuchBucket": "There is no such bucket: correct the script's model=",
        "PreconditionFailed": "It changed while it was read: run again",
        "SlowDown": "S3 asks to slow down, still after all retries: run again",
        "InvalidObjectState": "It is archived: restore it, or copy it to another storage class",
    },
    "Check the address, the region and your credentials (aws s3 ls)",
)


def bring(address: str, scripts: Path, access: Access, show: Callable[[ModelProgress], None]) -> None:
    """Make the folder beside the scripts what is below `address`; what has not changed stays.

    Raises WarmupError with the fix.
    """
    name, _, prefix = address.removeprefix(S3).partition("/")
    bucket = Bucket(name, cast("S3Client", access.client("s3")), _YOURS)
    target = folder_of(scripts, address)
    try:
        _bring(bucket, address, _listed(bucket, address, prefix), target, show)
    except WarmupError as error:
        cause = error.__cause__
        if isinstance(cause, BotoCoreError | ClientError) and (problem := access.problem(cause)):
            raise problem from error
        raise
    except OSError as error:
        message = f"{address}: {error.filename or target}: {error.strerror}. One is a file and a folder"
        if not isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            message = f"{address} cannot be brought to {error.filename or target}: {error.strerror}"
        raise WarmupError(ErrorKind.BUCKET, message) from error


def remove_unused(scripts: Path, used: Collection[str]) -> None:
    """Take away what was brought of addresses that no script names."""
    kept = {repo_folder(address) for address in used}
    for folder in (scripts / BROUGHT).glob("models--*"):
        if folder.name not in kept:
            shutil.rmtree(folder)


def _listed(bucket: Bucket, address: str, prefix: str) -> dict[str, StoredObject]:
    """By path below the prefix; an address may also be that of a model.tar.gz itself."""
    found: dict[str, StoredObject] = {}
    for each in _below(bucket, prefix):
        path = each.key.removeprefix(f"{prefix}/") if each.key != prefix else ARCHIVE
        if not path or path.endswith("/"):
            continue  # what consoles make for a folder
        if problem := path_problem(path):
            raise WarmupError(ErrorKind.BUCKET, f"{address} holds {each.key!r}: {problem}. Rename it")
        if any(part.startswith(".") or part == "__pycache__" for part in path.split("/")):
            continue  # no folder beside the scripts counts it either
        found[path] = each
        if len(found) > MOST_FILES:
            message = f"{address} holds more than {MOST_FILES:,} objects. Name the prefix of one model"
            raise WarmupError(ErrorKind.BUCKET, message)
    if not found:
        message = f"{address} holds nothing. Put there what save_pretrained writes, or SageMaker's {ARCHIVE}"
        raise WarmupError(ErrorKind.NOT_FOUND, message)
    return found


def _below(bucket: Bucket, prefix: str) -> Iterator[StoredObject]:
    if prefix.endswith(".tar.gz"):
        yield from (each for each in bucket.objects(prefix) if each.key == prefix)
        return
    yield from bucket.objects(f"{prefix}/")


def _bring(
    bucket: Bucket,
    address: str,
    objects: Mapping[str, StoredObject],
    target: Path,
    show: Callable[[ModelProgress], None],
) -> None:
    etags = _etags(target)
    total, done = sum(each.size for each in objects.values()), 0
    missing = {
        path: each
        for path, each in objects.items()
        if etags.get(path) != each.etag or not _has(target / path, each.size)
    }
    _check_room(address, target, sum(each.size for each in missing.values()))
    for path in [path for path in etags if path not in objects]:
        (target / path).unlink(missing_ok=True)
        del etags[path]

    def add(count: int) -> None:
        nonlocal done
        done += count
        show(ModelProgress(phase="bring", bytes_done=done, bytes_total=total))

    for path, each in objects.items():
        if path not in missing:
            add(each.size)
            continue
        final = target / path
        final.parent.mkdir(parents=True, exist_ok=True)
        # Hidden: an interrupted one is no file of the model, and the next run writes it anew.
        partial = final.with_name(f".{final.name}.incomplete")
        if not bucket.copy_object(each.key, partial, add, threading.Event(), each.etag):
            message = f"s3://{bucket.name}/{each.key} has gone while it was read. Run again"
            raise WarmupError(ErrorKind.BUCKET, message)
        partial.replace(final)
        etags[path] = each.etag
        replace_text(target / _ETAGS, json.dumps(etags))


def _has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_room(address: str, target: Path, needed: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if needed > free:
        message = f"{address} has {needed:,} bytes, and {free:,} are free for {target}. Make room"
        raise WarmupError(ErrorKind.DISK_FULL, message)


def _etags(target: Path) -> dict[str, str]:
    """Of what was brought before; empty where that cannot be read."""
    try:
        read = json.loads((target / _ETAGS).read_text())
        return {str(path): str(etag) for path, etag in read.items() if path_problem(str(path)) is None}
    except (OSError, ValueError, AttributeError):
        return {}
