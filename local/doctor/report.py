"""What was looked at, what was found and what to do: the report of `make doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from warmup.protocol.records import OMIT_DEFAULT, Json, Record


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It deploys, with something to know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It cannot be told before something else is mended."""


@dataclass(frozen=True)
class Check(Record):
    """One thing that a deployment needs."""

    name: str
    status: Status
    found: str
    """What is there."""
    fix: Annotated[str, OMIT_DEFAULT] = ""
    """What to do about it, where there is something to do."""


@dataclass(frozen=True)
class DoctorReport(Record):
    stack: str
    checks: tuple[Check, ...]
    policy: Mapping[str, Json] | None
    """The least IAM policy that deploys the stack; None where its settings cannot be read."""

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status is Status.FAILED)


def ok(name: str, found: str) -> Check:
    return Check(name, Status.OK, found)


def warning(name: str, found: str, fix: str) -> Check:
    return Check(name, Status.WARNING, found, fix)


def failed(name: str, found: str, fix: str) -> Check:
    return Check(name, Status.FAILED, found, fix)


def skipped(name: str, after: str) -> Check:
    """`after`: the check that has to hold first."""
    return Check(name, Status.SKIPPED, f"not looked at: {after}")
