"""Signatures of requests to S3, beside those that botocore makes."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from hf_lambda.sigv4 import Credentials, signed_headers, uri_encoded

NOW = datetime(2026, 11, 28, 1, 2, 3, tzinfo=UTC)
KEYS = [
    "a.jpg",
    "photos/2026/a b+c&d=e.jpg",
    "ü/日本語/😀.png",
    "~tilde_-./(brackets)*'!;:@,$?#%25",
    "slash//twice",
    "".join(random.Random(13).choices([chr(code) for code in range(32, 127)], k=200)),
]


@pytest.mark.parametrize("token", ["", "FwoGZXIvYXdzE//+=="])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "base", ["https://inputs.s3.eu-central-1.amazonaws.com", "http://127.0.0.1:4566/inputs"]
)
def test_a_request_is_signed_as_botocore_signs_it(
    base: str, key: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{base}/{uri_encoded(key)}"
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = AWSRequest("GET", url)
    theirs = BotocoreCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token or None)
    botocore.auth.S3SigV4Auth(theirs, "s3", "eu-central-1").add_auth(request)
    ours = signed_headers(
        url,
        region="eu-central-1",
        service="s3",
        credentials=Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token),
        now=NOW,
    )
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_a_secret_is_in_nothing_that_is_printed() -> None:
    assert "wJalr" not in repr(Credentials("AKID", "wJalr", "wJalr-token"))
