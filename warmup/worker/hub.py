"""The Hub as a source of models, through huggingface_hub; what its refusals mean, each with its fix."""

from __future__ import annotations

import email.utils
import errno
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_download, set_client_factory
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    NotASafetensorsRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SafetensorsParsingError,
)
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils._http import default_client_factory, parse_ratelimit_headers

from ..protocol.errors import ErrorKind, WarmupError
from .source import RemoteFile
from .threads import Stopped

Result = TypeVar("Result")
DEFAULT_ENDPOINT = "https://huggingface.co"
BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 20.0
PATIENCE_SECONDS = 90.0
"""How long an outage is sat out where the Hub does not say when to come back."""
RATE_LIMIT_SECONDS = 30.0
"""Waited where the Hub says 429 but not for how long."""
RATE_LIMIT_PATIENCE_SECONDS = 330.0
"""The Hub counts requests in windows of five minutes."""
TRANSFERS = 3
"""How often a file may arrive cut off before this is a fault."""
_BLOB_NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Fixes:
    """What helps, which depends on where the Hub is asked from."""

    token: str
    """How a token is set."""
    reach: str
    """What to look at where the Hub cannot be reached."""


IN_A_STACK = Fixes(
    "pulumi config set --secret hfToken <token>, then pulumi up", "Check the stack's egress and hubEndpoint"
)
ON_THIS_MACHINE = Fixes(
    "HF_TOKEN=<token> in the environment, or `hf auth login`",
    "Check this machine's network and the address (--hub, else HF_ENDPOINT)",
)


class HubSource:
    """Asks the Hub at `endpoint` (None: huggingface.co) in the name of `token` (None: nobody).

    `note` is told why a call has to wait; `remaining_s` says how long it may. patience_s: for outages, where
    it is less than usual. Methods raise WarmupError with one of `fixes`, and Stopped once `stop` is set.
    """

    whole_trees = True

    def __init__(
        self,
        endpoint: str | None,
        token: str | None,
        note: Callable[[str], None],
        remaining_s: Callable[[], float] = lambda: float("inf"),
        patience_s: float = float("inf"),
        fixes: Fixes = IN_A_STACK,
    ) -> None:
        self.endpoint = (endpoint or DEFAULT_ENDPOINT).rstrip("/")
        self._token: str | bool = token or False
        self._note, self._remaining_s, self._patience_s = note, remaining_s, patience_s
        self._fixes = fixes
        _check_answers_of(self.endpoint)

    def resolve(self, repo_id: str, revision: str | None, stop: threading.Event) -> str:
        """The commit that `revision` (None: the default branch) names now."""
        return str(self.info(repo_id, revision, stop).sha)

    def info(self, repo_id: str, revision: str | None, stop: threading.Event) -> ModelInfo:
        """What the Hub says of the repository: commit, card, licence, gating."""
        api = HfApi(endpoint=self.endpoint, token=self._token)
        return self._call(
            lambda: api.model_info(repo_id, revision=revision, timeout=20), repo_id, revision, stop
        )

    def parameters(self, repo_id: str, commit: str, stop: threading.Event) -> int | None:
        """How many numbers the weights hold, by the headers of the safetensors files; None without such."""
        api = HfApi(endpoint=self.endpoint, token=self._token)

        def count() -> int | None:
            try:
                found = api.get_safetensors_metadata(repo_id, revision=commit)
            except (NotASafetensorsRepoError, SafetensorsParsingError):
                return None
            return sum(found.parameter_count.values())

        return self._call(count, repo_id, commit, stop)

    def tree(self, repo_id: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        """Every file of `commit`."""
        api = HfApi(endpoint=self.endpoint, token=self._token)

        def read() -> list[RemoteFile]:
            entries = api.list_repo_tree(repo_id, revision=commit, recursive=True)
            return [_remote_file(entry) for entry in entries if isinstance(entry, RepoFile)]

        return self._call(read, repo_id, commit, stop)

    def download(
        self,
        repo_id: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Put `file` into `hub_cache` (blob, then pointer); `received` is told of every chunk's bytes."""

        def download() -> str:
            return hf_hub_download(
                repo_id,
                file.path,
                revision=commit,
                cache_dir=hub_cache,
                endpoint=self.endpoint,
                token=self._token,
                tqdm_class=_reporter(received, stop),
            )

        self._call(download, repo_id, commit, stop, path=file.path)

    def release(self, repo_id: str, files: Sequence[RemoteFile]) -> None:
        """Nothing is kept for a cache."""

    def _call(
        self,
        call: Callable[[], Result],
        repo_id: str,
        revision: str | None,
        stop: threading.Event,
        path: str | None = None,
    ) -> Result:
        asked = HubQuestion(repo_id, revision, self.endpoint, bool(self._token), path, self._fixes)
        began, attempt = time.monotonic(), 0
        while not stop.is_set():
            try:
                return call()
            except _WrongAnswer as wrong:
                raise WarmupError(ErrorKind.MALFORMED, f"{asked.what}: {wrong}") from wrong
            except (OSError, ValueError, httpx2.HTTPError) as error:
                failure, verdict = error, classify_hub_error(error, asked)
            except (KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
                # What the client raises over an answer that lacks what every answer has.
                message = f"{asked.what}: {self.endpoint} answers in a form that is not the Hub's"
                raise WarmupError(ErrorKind.MALFORMED, f"{message} ({type(error).__name__})") from error
            if isinstance(verdict, WarmupError):
                raise verdict from failure
            wait_s = verdict.wait_s
            if wait_s is None:
                wait_s = min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2**attempt)
            attempt += 1
            waited_s = time.monotonic() - began
            given_up = waited_s + wait_s > min(self._patience_s, verdict.patience_s)
            if wait_s > self._remaining_s() or (attempt >= verdict.attempts and given_up):
                raise verdict.error from failure
            self._note(f"{verdict.why}: waits {wait_s:.0f} s")
            stop.wait(wait_s)
            self._note("")
        raise Stopped


@dataclass(frozen=True)
class HubQuestion:
    """What was asked of the Hub: the words of every message."""

    repo_id: str
    revision: str | None
    endpoint: str
    with_token: bool
    path: str | None = None
    fixes: Fixes = IN_A_STACK

    @property
    def what(self) -> str:
        return f"{self.repo_id}/{self.path}" if self.path else self.repo_id


@dataclass(frozen=True)
class Retry:
    """Worth another try; `error` is what to raise once it is not.

    wait_s: as the Hub said, None where it did not. Given up after `attempts` and `patience_s`, both.
    """

    why: str
    error: WarmupError
    patience_s: float
    wait_s: float | None = None
    attempts: int = 1


def classify_hub_error(error: Exception, asked: HubQuestion) -> WarmupError | Retry:
    """The client wraps errors; the one that says most is taken from the chain."""
    for cause in _chain(error):
        verdict = _verdict(cause, asked)
        if verdict is not None:
            return verdict
    return WarmupError(ErrorKind.HUB, f"{asked.what}: {type(error).__name__}: {_first_line(error)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _verdict(error: BaseException, asked: HubQuestion) -> WarmupError | Retry | None:
    if isinstance(error, HfHubHTTPError):
        return _answered(error, asked)
    if isinstance(error, httpx2.TransportError):
        why = f"cannot reach {asked.endpoint} ({type(error).__name__}: {_first_line(error)})"
        unreachable = WarmupError(ErrorKind.UNREACHABLE, f"{asked.what}: {why}. {asked.fixes.reach}.")
        return Retry(why, unreachable, PATIENCE_SECONDS)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WarmupError(
            ErrorKind.DISK_FULL, f"{asked.what}: the cache's disk is full. Make room: python -m warmup prune"
        )
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        why = f"{asked.what} arrived with the wrong size"
        cut = WarmupError(ErrorKind.TRUNCATED, f"{why} again and again. A proxy in between may cut it off.")
        return Retry(why, cut, patience_s=0.0, wait_s=0.0, attempts=TRANSFERS)
    return None


def _answered(error: HfHubHTTPError, asked: HubQuestion) -> WarmupError | Retry | None:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):  # is a RepositoryNotFoundError too
        return WarmupError(ErrorKind.GATED, _gated(asked))
    if isinstance(error, RevisionNotFoundError):
        page = f"{asked.endpoint}/{asked.repo_id}/commits/main"
        message = f"{asked.repo_id} has no revision {asked.revision!r}. See {page}"
        return WarmupError(ErrorKind.REVISION_NOT_FOUND, message)
    if isinstance(error, RemoteEntryNotFoundError):
        return WarmupError(
            ErrorKind.FILE_NOT_FOUND, f"{asked.what}: listed by the Hub, but not there. Run again."
        )
    if status == 401 and asked.with_token:
        message = f"the Hub refused the token while asked for {asked.repo_id}. Set a valid one"
        return WarmupError(ErrorKind.TOKEN_REFUSED, f"{message}: {asked.fixes.token}")
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return WarmupError(ErrorKind.NOT_FOUND, _not_found(asked))
    if status == 403:
        message = f"the token may not read {asked.repo_id}. Give it read access, or set another"
        return WarmupError(ErrorKind.TOKEN_REFUSED, f"{message}: {asked.fixes.token}")
    if status == 429:
        return _rate_limited(error.response.headers, asked)
    if status in (408, 500, 502, 503, 504):
        wait_s = told_wait_s(error.response.headers)
        why = f"{asked.endpoint} answers {status}"
        later = WarmupError(
            ErrorKind.UNREACHABLE, f"{asked.what}: {why}{_asks(wait_s)}, still after all waits. Try later."
        )
        return Retry(why, later, max(PATIENCE_SECONDS, wait_s or 0.0), wait_s)
    return None


def _rate_limited(headers: Mapping[str, str], asked: HubQuestion) -> Retry:
    wait_s = told_wait_s(headers)
    if wait_s is None:
        limit = parse_ratelimit_headers(headers)
        wait_s = float(limit.reset_in_seconds) if limit and limit.remaining == 0 else RATE_LIMIT_SECONDS
    wait_s = max(wait_s, BACKOFF_SECONDS)  # "0" is said by proxies that mean "soon"
    why = f"rate limited by {asked.endpoint}"
    fix = f"Try later, or with a token: {asked.fixes.token}"
    error = WarmupError(
        ErrorKind.RATE_LIMITED, f"{asked.what}: still rate limited after all waits{_asks(wait_s)}. {fix}"
    )
    return Retry(why, error, max(RATE_LIMIT_PATIENCE_SECONDS, wait_s), wait_s)


def _asks(wait_s: float | None) -> str:
    return f" and asks to wait {wait_s:.0f} s" if wait_s else ""


def told_wait_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After, as seconds or as a date; None where there is none that makes sense."""
    told = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", told):
        return float(told)
    try:
        date = email.utils.parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _gated(asked: HubQuestion) -> str:
    page = f"{asked.endpoint}/{asked.repo_id}"
    if asked.with_token:
        return f"{asked.repo_id} is gated and the token is not on its list. Ask for access at {page}"
    return f"{asked.repo_id} is gated. Ask for access at {page} and set a token: {asked.fixes.token}"


def _not_found(asked: HubQuestion) -> str:
    private = "the token cannot read it" if asked.with_token else f"it is private (then: {asked.fixes.token})"
    return f"{asked.repo_id} is not at {asked.endpoint}. Either the name is misspelt or {private}."


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _reporter(received: Callable[[int], None], stop: threading.Event) -> type:
    """A class with the part of tqdm's interface that huggingface_hub's downloads call."""

    class Reporter:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            if stop.is_set():  # ends the transfer; the client removes its partial file
                raise Stopped
            received(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire; bytes on disk are what counts here."""

        def close(self) -> None:
            pass

        def refresh(self) -> None:
            pass

        def set_postfix_str(self, *_: object, **__: object) -> None:
            pass

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            pass

    return Reporter


def _remote_file(entry: RepoFile) -> RemoteFile:
    fields = {"path": entry.path, "size": entry.size, "oid": entry.blob_id}
    return RemoteFile.from_json({**fields, "sha256": entry.lfs.sha256 if entry.lfs else None})


class _WrongAnswer(Exception):  # noqa: N818 - becomes a WarmupError where it is known what was asked
    """An answer whose headers would lead the client astray."""


_checked_hosts: set[str] = set()


def _check_answers_of(endpoint: str) -> None:
    """Have the client's answers checked before it uses them: it takes ETag and commit for names of files.

    And the token goes to hosts of Hubs alone, wherever a redirection or a next page leads.
    """
    first = not _checked_hosts
    _checked_hosts.add(httpx2.URL(endpoint).netloc.decode())
    if first:
        set_client_factory(_checked_client)


def _checked_client() -> httpx2.Client:
    client = default_client_factory()
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _keep_token],
        "response": [*hooks["response"], _check_headers],
    }
    return client


def _keep_token(request: httpx2.Request) -> None:
    if request.url.netloc.decode() not in _checked_hosts:
        request.headers.pop("authorization", None)


def _check_headers(response: httpx2.Response) -> None:
    etag = response.headers.get("x-linked-etag") or response.headers.get("etag")
    of_file = "/resolve/" in response.request.url.path
    if of_file and etag and not _BLOB_NAME.fullmatch(etag.removeprefix("W/").strip('"')):
        raise _WrongAnswer(
            f"its ETag {etag[:100]!r} is not the name of a blob. The Hub, or a proxy, answers wrongly"
        )
    commit = response.headers.get("x-repo-commit")
    if commit and not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise _WrongAnswer(
            f"its X-Repo-Commit {commit[:100]!r} is not one. The Hub, or a proxy, answers wrongly"
        )
    following = response.links.get("next", {}).get("url")
    if following and response.url.join(following).netloc != response.url.netloc:
        raise _WrongAnswer(f"its next page lies on another host ({following[:100]!r})")
