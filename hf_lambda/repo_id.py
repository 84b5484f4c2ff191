"""What may be the id of a repository on the Hub, or a model's folder: beside the scripts, or in a bucket."""

from __future__ import annotations

import re
from typing import TypeGuard


def is_repo_id(text: object) -> TypeGuard[str]:
    """Whether `text` is `name` or `namespace/name`: huggingface_hub decides where it is installed."""
    if not isinstance(text, str):
        return False
    try:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils._validators import validate_repo_id
    except ImportError:
        return _looks_like_a_repo_id(text)
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def _looks_like_a_repo_id(text: str) -> bool:
    """The same rule without huggingface_hub; a test holds the two to each other."""
    namespace, slash, name = text.rpartition("/")
    parts = (namespace, name) if slash else (name,)
    if "--" in text or ".." in text or text.endswith(".git"):
        return False
    return all(_PART.fullmatch(part) for part in parts)


_PART = re.compile(r"(?=[\w.-]{1,96}\Z)\w([\w.-]*\w)?", re.ASCII)


_LONGEST_FOLDER = 150
_STEP = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


def is_model_folder(text: object) -> TypeGuard[str]:
    """Whether `text` is a folder below that of the scripts, `./models/mine`, or one of a bucket.

    It stands in the place of a repository's id everywhere: no such id begins with a dot or has a colon.
    """
    if is_bucket_folder(text):
        return True
    if not isinstance(text, str) or not text.startswith("./") or len(text) > _LONGEST_FOLDER:
        return False
    return "--" not in text and all(map(_STEP.fullmatch, text[2:].split("/")))


S3 = "s3://"
_BUCKET = re.compile(r"(?=[a-z0-9.-]{3,63}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""


def is_bucket_folder(text: object) -> TypeGuard[str]:
    """Whether `text` is `s3://bucket/prefix`; the prefix is held to what folders beside the scripts are."""
    if not isinstance(text, str) or not text.startswith(S3) or len(text) > _LONGEST_FOLDER:
        return False
    bucket, slash, prefix = text.removeprefix(S3).partition("/")
    if not slash or ".." in bucket or not _BUCKET.fullmatch(bucket):
        return False
    return "--" not in text and all(map(_STEP.fullmatch, prefix.split("/")))
