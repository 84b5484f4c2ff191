"""Why a warm-up, or the command that drives it, did not do what it was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .records import Record


class ErrorKind(StrEnum):
    """For programs; people read the message."""

    USAGE = "usage"
    BUG = "bug"
    # between the command and AWS
    ACCESS_DENIED = "access denied"
    ANOTHER_VERSION = "another version"
    CREDENTIALS = "credentials"
    ENDPOINT = "endpoint"
    INVOKE = "invoke"
    NO_PROGRESS = "no progress"
    NOT_DEPLOYED = "not deployed"
    NOT_STARTED = "not started"
    PULUMI = "pulumi"
    SWITCHED_OFF = "switched off"
    UNREACHABLE = "unreachable"
    WARMUP = "warm-up"
    # of a model
    BUCKET = "bucket"
    CACHE = "cache"
    COLD = "cold"
    DAMAGED = "damaged"
    DISK_FULL = "disk full"
    FILE_NOT_FOUND = "file not found"
    GATED = "gated"
    HUB = "hub"
    MALFORMED = "malformed"
    NO_LOCKS = "no locks"
    NO_TOKENIZER = "no tokenizer"
    NO_WEIGHTS = "no weights"
    NOT_FOUND = "not found"
    NOT_PREPARED = "not prepared"
    NOT_STAGED = "not staged"
    OUT_OF_MEMORY = "out of memory"
    RATE_LIMITED = "rate limited"
    REMOTE_CODE = "remote code"
    REVISION_NOT_FOUND = "revision not found"
    STAGING = "staging"
    TOO_LARGE = "too large"
    TOKEN_REFUSED = "token refused"
    TOKEN_UNREADABLE = "token unreadable"
    TRUNCATED = "truncated"
    UNTRAINED_HEAD = "untrained head"
    UNUSABLE = "unusable"

    @property
    def is_verdict(self) -> bool:
        """Whether it is about the repository as it is: another try changes nothing."""
        return self in _VERDICTS


_VERDICTS = frozenset(
    (
        *(ErrorKind.FILE_NOT_FOUND, ErrorKind.GATED, ErrorKind.NO_TOKENIZER, ErrorKind.NO_WEIGHTS),
        *(ErrorKind.NOT_FOUND, ErrorKind.REMOTE_CODE, ErrorKind.REVISION_NOT_FOUND),
        *(ErrorKind.UNTRAINED_HEAD, ErrorKind.UNUSABLE),
    )
)


@dataclass(frozen=True)
class ErrorReport(Record):
    """An error as JSON."""

    kind: ErrorKind
    message: str


class WarmupError(Exception):
    """One line for the operator: what was asked, what came back, what to do. `kind` is for programs.

    Where a function failed, the last lines that it logged follow.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def report(self) -> ErrorReport:
        return ErrorReport(self.kind, str(self))
