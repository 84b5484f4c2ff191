"""What the command reports: `--json`, `--report FILE`, and `.local/report.json` of `make up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from .answers import (
    ColdModel,
    DownloadPlan,
    FetchedModel,
    PruneResult,
    RelayedModel,
    UnusedModel,
    VerifiedModel,
    WarmedModel,
)
from .records import OMIT_DEFAULT, Json, Key, Record


@dataclass(frozen=True)
class EndpointAnswer(Record):
    """An endpoint that was asked twice, and answered. Its first model counts where it has several.

    `cold`: whether the first question met a cold start, None where the endpoint does not say (a plain
    script). `phases`: of the first answer, in milliseconds. `hub_requests`: what reached the Hub meanwhile,
    known locally alone.
    """

    name: str
    task: str | None
    repo_id: Annotated[str | None, Key("model")]
    commit: str | None
    request: Json
    engine: str | None
    cold: bool | None
    cold_ms: float
    warm_ms: float
    phases: Mapping[str, float]
    response: Json
    hub_requests: Annotated[int | None, OMIT_DEFAULT] = None


@dataclass(frozen=True)
class EndpointFailure(Record):
    """An endpoint that failed, or that was not asked because its model is not warm."""

    name: str
    task: str | None
    repo_id: Annotated[str | None, Key("model")]
    commit: str | None
    request: Json
    error: str
    hub_requests: Annotated[int | None, OMIT_DEFAULT] = None


@dataclass(frozen=True)
class Released(Record):
    """What became of a version. `before`: what served until then, and serves on where there is an `error`."""

    name: str
    version: str
    before: str
    error: Annotated[str | None, OMIT_DEFAULT] = None


EndpointReport = EndpointAnswer | EndpointFailure


@dataclass(frozen=True)
class WarmReport(Record):
    """`python -m warmup`, and report.json, where `hub` is the Hub that the local stack was warmed from."""

    stack: str
    warmup: tuple[WarmedModel, ...] = ()
    endpoints: tuple[EndpointAnswer | EndpointFailure, ...] = ()
    errors: Annotated[tuple[str, ...], OMIT_DEFAULT] = ()
    hub: Annotated[str | None, OMIT_DEFAULT] = None
    advice: Annotated[tuple[str, ...], OMIT_DEFAULT] = ()
    """What works as it is and had better be changed."""
    relays: Annotated[tuple[RelayedModel, ...], OMIT_DEFAULT] = ()
    """What came through the bucket, with `egress: relay`."""
    releases: Annotated[tuple[Released, ...], OMIT_DEFAULT] = ()
    """What became of the versions that waited, with `release: gated`."""


@dataclass(frozen=True)
class PlanReport(Record):
    """`python -m warmup --dry-run`."""

    stack: str
    models: tuple[DownloadPlan, ...] = ()


@dataclass(frozen=True)
class VerifyReport(Record):
    """`python -m warmup verify`."""

    stack: str
    models: tuple[VerifiedModel, ...] = ()


@dataclass(frozen=True)
class StatusReport(Record):
    """`python -m warmup status`."""

    stack: str
    models: tuple[WarmedModel | ColdModel, ...]
    unused: tuple[UnusedModel, ...]
    free_bytes: int | None = None


@dataclass(frozen=True)
class PruneReport(Record):
    """`python -m warmup prune`; `prune` None: it failed."""

    stack: str
    prune: PruneResult | None


@dataclass(frozen=True)
class RollbackReport(Record):
    """`python -m warmup rollback`."""

    stack: str
    releases: tuple[Released, ...]


@dataclass(frozen=True)
class FetchReport(Record):
    """`python -m warmup fetch`. `endpoints`: name -> its models, which lie in the folder of that name."""

    into: str
    endpoints: Mapping[str, tuple[FetchedModel, ...]]


Report = WarmReport | PlanReport | VerifyReport | StatusReport | PruneReport | RollbackReport
