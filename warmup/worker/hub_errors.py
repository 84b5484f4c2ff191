"""What the Hub's refusals mean, told apart, each with its fix."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils._http import parse_ratelimit_headers

from ..errors import WarmupError

BACKOFF_SECONDS = 1.0
RATE_LIMIT_SECONDS = 30.0
"""Waited where the Hub says 429 but not for how long."""
_ATTEMPTS = {"rate limited": 5, "unreachable": 3, "truncated": 3}
_SET_TOKEN = "pulumi config set --secret hfToken <token>, then pulumi up"


@dataclass(frozen=True)
class Asked:
    """What was asked of the Hub: the words of every message."""

    model: str
    revision: str | None
    endpoint: str
    with_token: bool
    path: str | None = None

    @property
    def what(self) -> str:
        return f"{self.model}/{self.path}" if self.path else self.model


@dataclass(frozen=True)
class Retry:
    """Worth another try after `after_s` seconds; `error` is what to raise when there is none left."""

    after_s: float
    why: str
    error: WarmupError


def told_apart(error: Exception, asked: Asked, attempt: int) -> WarmupError | Retry:
    """`attempt` counts from 0. The client wraps errors; the one that says most is taken from the chain."""
    for cause in _chain(error):
        verdict = _verdict(cause, asked, attempt)
        if verdict is not None:
            if isinstance(verdict, Retry) and attempt + 1 >= _ATTEMPTS[verdict.error.kind]:
                return verdict.error
            return verdict
    return WarmupError("hub", f"{asked.what}: {type(error).__name__}: {_first_line(error)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _verdict(error: BaseException, asked: Asked, attempt: int) -> WarmupError | Retry | None:
    if isinstance(error, HfHubHTTPError):
        return _answered(error, asked, attempt)
    if isinstance(error, httpx2.TransportError):
        why = f"cannot reach {asked.endpoint} ({type(error).__name__}: {_first_line(error)})"
        return Retry(BACKOFF_SECONDS * 2**attempt, why, _unreachable(asked, why))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WarmupError(
            "disk full", f"{asked.what}: the cache's disk is full. Make room: python -m warmup prune"
        )
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        why = f"{asked.what} arrived with the wrong size"
        return Retry(
            0.0, why, WarmupError("truncated", f"{why} again and again. A proxy in between may cut it off.")
        )
    return None


def _answered(error: HfHubHTTPError, asked: Asked, attempt: int) -> WarmupError | Retry | None:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):  # is a RepositoryNotFoundError too
        return WarmupError("gated", _gated(asked))
    if isinstance(error, RevisionNotFoundError):
        page = f"{asked.endpoint}/{asked.model}/commits/main"
        message = f"{asked.model} has no revision {asked.revision!r}. See {page}"
        return WarmupError("revision not found", message)
    if isinstance(error, RemoteEntryNotFoundError):
        return WarmupError("file not found", f"{asked.what}: listed by the Hub, but not there. Run again.")
    if status == 401 and asked.with_token:
        message = f"the Hub refused the token while asked for {asked.model}. Set a valid one: {_SET_TOKEN}"
        return WarmupError("token refused", message)
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return WarmupError("not found", _not_found(asked))
    if status == 403:
        message = f"the token may not read {asked.model}. Give it read access, or set another: {_SET_TOKEN}"
        return WarmupError("token refused", message)
    if status == 429:
        after_s = _told_wait_s(error.response.headers)
        why = f"rate limited by {asked.endpoint}: waits {after_s:.0f} s"
        fix = f"still rate limited after all waits. Try later, or with a token: {_SET_TOKEN}"
        return Retry(after_s, why, WarmupError("rate limited", f"{asked.what}: {fix}"))
    if status in (408, 500, 502, 503, 504):
        why = f"{asked.endpoint} answers {status}"
        return Retry(BACKOFF_SECONDS * 2**attempt, why, _unreachable(asked, why))
    return None


def _gated(asked: Asked) -> str:
    page = f"{asked.endpoint}/{asked.model}"
    if asked.with_token:
        return f"{asked.model} is gated and the token is not on its list. Ask for access at {page}"
    return f"{asked.model} is gated. Ask for access at {page} and set a token: {_SET_TOKEN}"


def _not_found(asked: Asked) -> str:
    private = "the token cannot read it" if asked.with_token else f"it is private (then: {_SET_TOKEN})"
    return f"{asked.model} is not at {asked.endpoint}. Either the name is misspelt or {private}."


def _unreachable(asked: Asked, why: str) -> WarmupError:
    return WarmupError(
        "unreachable", f"{asked.what}: {why}. Check the stack's egress (nat, ipv6, none) and HF_ENDPOINT."
    )


def _told_wait_s(headers: Mapping[str, str]) -> float:
    told = headers.get("retry-after", "")
    if told.isdigit():
        return float(told)
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else RATE_LIMIT_SECONDS


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
