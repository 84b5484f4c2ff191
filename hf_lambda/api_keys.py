"""API keys of requests over HTTP: the function knows their SHA-256 alone."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .errors import Unauthorized
from .records import Json

API_KEYS = "API_KEYS_SHA256"
"""Variable with the SHA-256 of the keys that may call, in hexadecimal, with commas; empty: anybody may."""


def check_key(event: dict[str, Json], environ: Mapping[str, str] | None = None) -> None:
    """Raises Unauthorized where keys are set and the HTTP event has none of them."""
    known = [
        each for each in (os.environ if environ is None else environ).get(API_KEYS, "").split(",") if each
    ]
    if not known:
        return
    import hmac  # loads OpenSSL, which only endpoints with keys need

    from .events import headers_of  # the program reads this module too, and needs no more of it

    scheme, _, key = headers_of(event).get("authorization", "").partition(" ")
    digest = digest_of(key.strip())
    # Every one is compared: how long it takes does not tell which one it was.
    if scheme.lower() != "bearer" or not sum(hmac.compare_digest(digest, each) for each in known):
        raise Unauthorized("no API key, or one that is not known: send it as `Authorization: Bearer <key>`")


def digest_of(key: str) -> str:
    """What the variable holds of a key."""
    import hashlib

    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
