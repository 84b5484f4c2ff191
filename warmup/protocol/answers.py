"""What the warm-up Lambda answers, and what it writes into the progress file of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from hf_lambda.manifest import CodeEntry, NotComparedEntry, NotPreparedEntry, PreparedEntry, RefusedUse

from .errors import ErrorKind, ErrorReport, WarmupError
from .events import Action
from .models import RepoId
from .records import OMIT_DEFAULT, Json, Key, Record, WrongShape


@dataclass(frozen=True)
class WarmedModel(Record):
    """A published model. `seconds`: what this run took; None where the cache was only looked at.

    `code`: repositories whose code runs when it is loaded. `refused`: what scripts ask of it in vain.
    """

    repo_id: RepoId
    revision: str
    commit: str
    bytes: int
    prepared: tuple[PreparedEntry, ...]
    not_prepared: tuple[NotPreparedEntry, ...]
    files: int
    seconds: Annotated[float | None, OMIT_DEFAULT] = None
    warmed_at: Annotated[str | None, OMIT_DEFAULT] = None
    code: Annotated[tuple[CodeEntry, ...], OMIT_DEFAULT] = ()
    not_compared: Annotated[tuple[NotComparedEntry, ...], OMIT_DEFAULT] = ()
    refused: Annotated[tuple[RefusedUse, ...], OMIT_DEFAULT] = ()


@dataclass(frozen=True)
class ColdModel(Record):
    """A model that a script uses and that is not in the cache."""

    repo_id: RepoId
    revision: str
    cold: Literal[True] = True


@dataclass(frozen=True)
class UnusedModel(Record):
    """A published model that no script uses."""

    repo_id: RepoId
    revision: str
    bytes: int


@dataclass(frozen=True)
class ListedFile(Record):
    """A file that a warm-up would have in the cache."""

    path: str
    size: int
    cached: bool


@dataclass(frozen=True)
class DownloadPlan(Record):
    """What a warm-up of a model would download."""

    repo_id: RepoId
    commit: str
    files: tuple[ListedFile, ...]
    bytes: int
    missing_bytes: int


@dataclass(frozen=True)
class FetchedModel(Record):
    """A model that was downloaded and verified, and is not published."""

    repo_id: RepoId
    commit: str
    files: int
    bytes: int


@dataclass(frozen=True)
class RelayedModel(Record):
    """A model whose files a relay brought into the bucket, as far as the cache lacked them.

    `bytes` and `files`: of the model; `relayed_bytes`: what came from the Hub now.
    """

    repo_id: RepoId
    commit: str
    files: int
    bytes: int
    relayed_bytes: int
    seconds: float


@dataclass(frozen=True)
class FileFault(Record):
    """Why a file, or a prepared folder, is not what was published."""

    path: str
    fault: str


@dataclass(frozen=True)
class VerifiedModel(Record):
    """A model whose files were all hashed again."""

    repo_id: RepoId
    files: int
    bytes: int
    faults: tuple[FileFault, ...]
    revision: Annotated[str | None, OMIT_DEFAULT] = None
    commit: Annotated[str | None, OMIT_DEFAULT] = None


@dataclass(frozen=True)
class PruneResult(Record):
    """What a prune removed, or would remove. `busy`: repositories that a warm-up works on right now.

    `unseen`: why models that no script names were left alone, a line of a script each.
    """

    removed: tuple[str, ...]
    bytes: int
    busy: tuple[str, ...]
    unseen: Annotated[tuple[str, ...], OMIT_DEFAULT] = ()


Result = WarmedModel | DownloadPlan | VerifiedModel | RelayedModel | FetchedModel | PruneResult
"""In the order in which JSON is read: each has a key that those after it lack."""
Answer = TypeVar("Answer", bound=Record)


WAITS_FOR_RELAY = "relay"
"""The phase of a warm-up that lacks something which a relay has to bring: without one, it waits in vain."""


class JobStatus(StrEnum):
    """How a job stands. `incomplete`: stopped before the Lambda's deadline, to be started again."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@dataclass(frozen=True)
class ModelProgress(Record):
    """How far a job is with one model. `left`: where the next invocation goes on."""

    phase: Annotated[str, OMIT_DEFAULT] = ""
    note: Annotated[str, OMIT_DEFAULT] = ""
    bytes_done: Annotated[int, OMIT_DEFAULT] = 0
    bytes_total: Annotated[int, OMIT_DEFAULT] = 0
    files_total: Annotated[int, OMIT_DEFAULT] = 0
    steps: Annotated[int, OMIT_DEFAULT] = 0
    left: Annotated[str, OMIT_DEFAULT] = ""
    error: Annotated[ErrorReport | None, OMIT_DEFAULT] = None
    result: Annotated[Result | None, OMIT_DEFAULT] = None


@dataclass(frozen=True)
class JobState(Record):
    """One invocation of the warm-up: the progress file, and the answer to the event that started it.

    `models` is keyed by ModelRequest.key, for a prune by "cache". `heartbeat`: Lambda's clock when it was
    written. `age_s`: how long ago that was, added by the Lambda that reads it. `error`: why the event was
    refused.
    """

    status: Annotated[JobStatus, Key("state")]
    job: Annotated[str, OMIT_DEFAULT] = ""
    action: Annotated[Action | None, OMIT_DEFAULT] = None
    models: Annotated[Mapping[str, ModelProgress] | None, OMIT_DEFAULT] = None
    heartbeat: Annotated[float | None, OMIT_DEFAULT] = None
    age_s: Annotated[float | None, OMIT_DEFAULT] = None
    error: Annotated[ErrorReport | None, OMIT_DEFAULT] = None

    def progress(self, key: str) -> ModelProgress:
        return (self.models or {}).get(key, ModelProgress())


@dataclass(frozen=True)
class CodeTrial(Record):
    """Whether a model loads by its repository's own code. `error`: why not, in the words of that code."""

    repo_id: RepoId
    task: str
    error: str | None = None


@dataclass(frozen=True)
class CodeTrials(Record):
    """The answer of the second warm-up."""

    trials: tuple[CodeTrial, ...]


@dataclass(frozen=True)
class JobsAnswer(Record):
    """The answer to a JobsEvent: how each job stands."""

    jobs: Mapping[str, JobState]


@dataclass(frozen=True)
class CacheStatus(Record):
    """The answer to a StatusEvent: what the cache holds."""

    models: tuple[WarmedModel | ColdModel, ...]
    unused: tuple[UnusedModel, ...]
    free_bytes: int | None = None


def read_answer(shape: type[Answer], raw: Json, fix: str) -> Answer:
    """`raw` as the answer `shape`. Raises WarmupError: the Lambda's own, or that it is another version.

    fix: the command that deploys the stack again.
    """
    if isinstance(raw, Mapping) and raw.get("error") and shape is not JobState:
        raise _error(raw["error"], fix)
    try:
        return shape.from_json(raw)
    except WrongShape as wrong:
        raise _another_version(wrong, fix) from wrong


def _error(raw: Json, fix: str) -> WarmupError:
    try:
        report = ErrorReport.from_json(raw)
    except WrongShape as wrong:
        return _another_version(wrong, fix)
    return WarmupError(report.kind, report.message)


def _another_version(wrong: WrongShape, fix: str) -> WarmupError:
    message = f"the stack was deployed by another version of this project ({wrong}). Run {fix}"
    return WarmupError(ErrorKind.ANOTHER_VERSION, message)
