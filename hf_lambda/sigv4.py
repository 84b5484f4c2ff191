"""AWS Signature Version 4 of a GET, with the standard library: the small image has no boto3.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Of a role; empty for those of a user."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Credentials:
        """What Lambda gives a function. Raises KeyError without."""
        token = environ.get("AWS_SESSION_TOKEN", "")
        return cls(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], token)


def uri_encoded(path: str) -> str:
    """A path as S3 signs it: its slashes stay, and it is encoded once."""
    return quote(path, safe="/-_.~")


def signed_headers(
    url: str, *, region: str, service: str, credentials: Credentials, now: datetime
) -> dict[str, str]:
    """Headers for a GET of `url`, whose path is encoded already. now: in UTC."""
    parts, time = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _NOTHING, "x-amz-date": time}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join(["GET", parts.path or "/", parts.query, lines, names, _NOTHING])
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (*scope.split("/"), text):
        signature = hmac.new(key, part.encode(), hashlib.sha256)
        key = signature.digest()
    said = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}"
    return {**headers, "authorization": f"{_ALGORITHM} {said}, Signature={signature.hexdigest()}"}
