"""Files of requests that lie in S3: `s3://bucket/key`, of the one bucket and folder that a stack allows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ServingError, Unprocessable
from .encoded import SCHEME, budget_of_request
from .limits import decoding_bytes

if TYPE_CHECKING:
    from http.client import HTTPResponse

INPUT_BUCKET = "INPUT_BUCKET"
"""The variable that holds the bucket, and behind a slash the folder: the config's `inputBucket`."""
_ANSWERS_IN_S = 10.0
_TRIES = 2
_PASSING = (500, 502, 503)
"""S3's statuses of trouble of its own, which a second try gets past."""
_MOST_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


class StorageUnavailable(ServingError):  # noqa: N818
    """503: S3 did not hand over an object that a request names."""

    status = 503


def read(address: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """The object at `s3://bucket/key`.

    Raises ValueError, in words, for what this stack does not read; Unprocessable for an object that is not
    there, may not be read or is too large, before any of it is downloaded; StorageUnavailable.
    """
    key = _key(address, environ.get(INPUT_BUCKET, ""))
    bucket = environ[INPUT_BUCKET].partition("/")[0]
    budget = budget_of_request()
    if budget.left is None:
        budget.left = decoding_bytes(environ)
    for tries_left in reversed(range(_TRIES)):
        try:
            with _get(bucket, key, environ) as answer:
                if answer.status not in _PASSING:
                    data = _content(answer, budget.left)
                    budget.left -= len(data)
                    return data
                problem = f"S3 answered {answer.status}"
        except OSError as error:
            problem = f"S3 was not reached ({type(error).__name__})"
        if not tries_left:
            raise StorageUnavailable(f"the object was not read: {problem}; ask again")
    raise AssertionError


def _key(address: str, allowed: str) -> str:
    """The key of an object that may be read. Raises ValueError for every other address."""
    if not allowed:
        raise ValueError("an s3:// address, and this stack reads none (config inputBucket)")
    bucket, _, folder = allowed.partition("/")
    given, _, key = address.removeprefix(SCHEME).partition("/")
    # What lies between S3 and here might resolve dots, and S3 itself does not.
    if given != bucket or not key.startswith(folder) or {".", "..", ""} & {*key.split("/")}:
        raise ValueError("an s3:// address outside of this stack's inputBucket")
    if len(key.encode("utf-8", "replace")) > _MOST_KEY_BYTES or not key.isprintable():
        raise ValueError("an s3:// address with a key that no object has")
    return key


@contextmanager
def _get(bucket: str, key: str, environ: Mapping[str, str]) -> Iterator[HTTPResponse]:
    """Raises OSError, also for what is no HTTP."""
    # Few requests name an object, and all that this takes is imported with the first that does.
    from datetime import UTC, datetime
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    from ..sigv4 import Credentials, signed_headers, uri_encoded

    region = environ["AWS_REGION"]
    url = f"{_base(bucket, region, environ)}/{uri_encoded(key)}"
    now, parts = datetime.now(UTC), urlsplit(url)
    headers = signed_headers(url, region=region, service="s3", credentials=Credentials.of(environ), now=now)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_ANSWERS_IN_S)
    try:
        connection.request("GET", parts.path, headers={**headers, "accept-encoding": "identity"})
        with connection.getresponse() as answer:
            yield answer
    except HTTPException as error:
        raise ConnectionError(type(error).__name__) from error
    finally:
        connection.close()


def _base(bucket: str, region: str, environ: Mapping[str, str]) -> str:
    """The bucket's own host; for a name with dots, which no certificate covers, the region's.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    if other := environ.get("AWS_ENDPOINT_URL_S3"):
        return f"{other.rstrip('/')}/{bucket}"
    host = f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def _content(answer: HTTPResponse, most: int) -> bytes:
    if answer.status in (403, 404):
        # S3 says 403 of what is not there to those who may not list.
        raise Unprocessable(None, "there is no such object in S3, or this endpoint may not read it")
    if answer.status in range(300, 400):
        raise Unprocessable(None, "the bucket is not in the region of this endpoint")
    if answer.status != 200:
        raise Unprocessable(None, f"S3 refused to hand the object over ({answer.status})")
    size = answer.length
    if size is None or size > most:
        given = "of an unknown size" if size is None else f"of {size / 2**20:.1f} MB"
        raise Unprocessable(
            None,
            f"an object {given} in S3; this function's memory allows {most / 2**20:.1f} MB more in "
            "this request",
        )
    if not size:
        raise Unprocessable(None, "the object in S3 is empty")
    return answer.read()
