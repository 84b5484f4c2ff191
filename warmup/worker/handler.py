"""The warm-up Lambda: warms, plans, fetches, prepares, verifies or prunes, and says how it stands."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from discovery import ScriptError, read_scripts
from hf_lambda.log import fault, logs_messages
from hf_lambda.repo_id import is_model_folder

from ..protocol.answers import (
    WAITS_FOR_RELAY,
    JobsAnswer,
    JobState,
    JobStatus,
    ModelProgress,
    PruneResult,
    Result,
)
from ..protocol.errors import ErrorKind, ErrorReport, WarmupError
from ..protocol.events import Action, Event, JobsEvent, ModelEvent, PruneEvent, StatusEvent, event_from_json
from ..protocol.models import ModelRequest, models_of_scripts, read_models
from ..protocol.records import Json, Record
from .client_settings import set_client_defaults
from .jobs import Job, OutOfTime, check_job_name, read_job, recorded
from .logs import log, log_to_stdout
from .publish import cache_status
from .source import ModelSource
from .threads import Stopped

WITHOUT_CONTEXT_SECONDS = 900.0


@dataclass(frozen=True)
class Environment:
    """What the environment variables say: where cache and scripts are, where models come from."""

    cache: Path
    scripts: Path
    variables: Mapping[str, str]
    relay: str | None = None
    """What the names of the relay's jobs begin with that this invocation waits for."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Environment:
        return cls(
            cache=Path(variables.get("MODEL_CACHE") or "/mnt/hf_models_cache"),
            scripts=Path(variables.get("LAMBDA_TASK_ROOT") or Path.cwd()),
            variables=variables,
        )

    def source(self, model: ModelRequest, job: Job) -> ModelSource:
        """The staging bucket where the stack has one; a folder beside the scripts; else the Hub."""
        relayed = self.variables.get("RELAYED") == "1"
        name = self.variables.get("STAGING_BUCKET")
        # A relay has no folder of anybody's machine; `egress: none` stages them as it stages the rest.
        if name and not (relayed and is_model_folder(model.repo_id)):
            from .bucket import Bucket, BucketSource, RelayWatch

            bucket = Bucket(name)
            watch = RelayWatch(bucket, self.relay) if self.relay else None
            return BucketSource(bucket, relayed=relayed, watch=watch, waits=_Waits(model.key, job))
        if is_model_folder(model.repo_id):
            from .folder import FolderSource

            return FolderSource(self.scripts)
        from .client_settings import read_token
        from .hub import HubSource

        def note(text: str) -> None:
            job.progress(model.key, note=text)

        return HubSource(self.variables.get("HF_ENDPOINT"), read_token(self.variables), note, job.remaining_s)


class _Waits:
    """Shows in the progress of a model that it waits for a relay, which tells the command to start one."""

    def __init__(self, key: str, job: Job) -> None:
        self._key, self._job, self._before = key, job, ""

    def __call__(self, waiting: bool) -> None:
        now = self._job.state.progress(self._key).phase
        if waiting and now != WAITS_FOR_RELAY:
            self._before = now
            self._job.progress(self._key, phase=WAITS_FOR_RELAY)
        elif not waiting and now == WAITS_FOR_RELAY:
            self._job.progress(self._key, phase=self._before)


def handler(event: Json, context: object) -> dict[str, Json]:
    """Lambda's entry. Never raises: an asynchronous invocation that fails is run again by Lambda itself."""
    set_client_defaults(os.environ)
    log_to_stdout()
    try:
        return answer(event_from_json(event), Environment.of(os.environ), clock_of(context)).to_json()
    except Exception as error:  # noqa: BLE001 - the edge
        return JobState(JobStatus.FAILED, error=report_of(error, "warm-up")).to_json()


def answer(event: Event, environment: Environment, remaining_s: Callable[[], float]) -> Record:
    """The job's last state, which the cache keeps too; for a status, what the job files or the cache say."""
    if isinstance(event, JobsEvent):
        return JobsAnswer({name: read_job(environment.cache, name) for name in event.jobs})
    models = event.models or read_models(environment.scripts)
    if isinstance(event, StatusEvent):
        return cache_status(environment.cache, models)
    action = event.action if isinstance(event, ModelEvent) else Action.PRUNE
    if action is Action.TRY:
        raise WarmupError(
            ErrorKind.USAGE, "this function runs no code of repositories; the second warm-up does"
        )
    job = Job(event.job or uuid.uuid4().hex, action, remaining_s)
    check_job_name(job.name)  # what is no name goes into no log
    if isinstance(event, ModelEvent) and event.relay:
        check_job_name(event.relay)
        environment = replace(environment, relay=event.relay)
    log("began", job=job.name, action=action.value, models=[model.key for model in models])
    with recorded(job, environment.cache):
        if isinstance(event, PruneEvent):
            run_model("cache", job, partial(_prune, event, models, environment))
        else:
            for model in models:
                run_model(model.key, job, partial(_ACTIONS[action], environment, model, job))
        job.end(status_of(job))
    log("ended", job=job.name, action=action.value, state=job.state.status.value)
    return job.state


def run_model(key: str, job: Job, act: Callable[[], Result]) -> None:
    """Run `act` for the model `key` and note how it ended; one model's fault leaves the others alone."""
    try:
        job.check()
        job.progress(key, result=act(), phase="done", note="")
    except (OutOfTime, Stopped):
        left = _left(job.state.progress(key))
        job.progress(key, phase="incomplete", left=left)
        log("out of time", model=key, left=left)
    except Exception as error:  # noqa: BLE001 - the edge
        job.progress(key, phase="failed", error=report_of(error, key))


def report_of(error: Exception, key: str) -> ErrorReport:
    """The error for the command; of what nobody foresaw it shows an id, and the log the traceback."""
    if isinstance(error, OSError):
        error = _worded(error)
    if isinstance(error, ScriptError):
        error = WarmupError(ErrorKind.USAGE, str(error))
    if isinstance(error, WarmupError):
        # What is wrong with an event quotes it.
        said = {"message": str(error)} if error.kind is not ErrorKind.USAGE or logs_messages() else {}
        log("failed", model=key, kind=error.kind.value, **said)
        return error.report
    fault_id = uuid.uuid4().hex[:12]
    log("bug", model=key, id=fault_id, error=fault(error))
    message = f"{type(error).__name__}: {error} (id {fault_id} in the warm-up's log)"
    return ErrorReport(ErrorKind.BUG, message)


def _worded(error: OSError) -> WarmupError | OSError:
    """What the file system says, as far as it is known what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "Make room: python -m warmup prune"
        return WarmupError(ErrorKind.DISK_FULL, f"the cache's disk is full. {fix}")
    if error.errno in (errno.ENOLCK, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE):
        fix = "Check the access point, the mount and the role of the warm-up"
        return WarmupError(ErrorKind.CACHE, f"{error.filename or 'the cache'}: {error.strerror}. {fix}")
    if error.errno in _MISPLACED and error.filename:
        fix = "Something else lies where the cache keeps its own: remove it and warm again"
        return WarmupError(ErrorKind.CACHE, f"{error.filename}: {error.strerror}. {fix}")
    return error


_MISPLACED = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL)


def _left(progress: ModelProgress) -> str:
    """Where the next invocation goes on."""
    if progress.phase == "fetch":
        return f"fetch: {progress.bytes_total - progress.bytes_done:,} bytes"
    return progress.note or progress.phase or "everything"


def status_of(job: Job) -> JobStatus:
    phases = {progress.phase for progress in (job.state.models or {}).values()}
    if "incomplete" in phases:
        return JobStatus.INCOMPLETE
    return JobStatus.FAILED if "failed" in phases else JobStatus.DONE


def clock_of(context: object) -> Callable[[], float]:
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    if remaining_ms is None:
        return lambda: WITHOUT_CONTEXT_SECONDS
    return lambda: float(remaining_ms()) / 1000


# Imports are inside: a poll for status must not pay for the Hub's client.


def _warm(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .warm import warm

    return warm(model, environment.cache, environment.source(model, job), job, environment.variables)


def _plan(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .fetch import plan_download

    return plan_download(model, environment.cache, environment.source(model, job), job)


def _lacks(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .fetch import plan_download

    return plan_download(model, environment.cache, environment.source(model, job), job, hashed=True)


def _fetch(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .warm import fetch_only

    return fetch_only(model, environment.cache, environment.source(model, job), job)


def _prepare(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .warm import prepare_only

    return prepare_only(model, environment.cache, job, environment.variables)


def _verify(environment: Environment, model: ModelRequest, job: Job) -> Result:
    from .verify import verify

    return verify(environment.cache, model, job)


def _prune(event: PruneEvent, models: tuple[ModelRequest, ...], environment: Environment) -> PruneResult:
    """Keeps what `models` or the deployed scripts use, and what they may use unseen."""
    from .prune import prune

    in_image = environment.variables.get("IN_IMAGE", "").split(",")
    scripts = read_scripts(environment.scripts) if environment.scripts.is_dir() else ()
    deployed = [script for script in scripts if script.name not in in_image]
    used = [(model.repo_id, model.revision) for model in (*models, *models_of_scripts(deployed))]
    notes = (*event.unseen, *(note for script in deployed for note in script.unseen))
    unseen = () if event.force else tuple(dict.fromkeys(notes))
    return prune(environment.cache, used, only=event.only, dry_run=event.dry_run, unseen=unseen)


_ACTIONS: Mapping[Action, Callable[[Environment, ModelRequest, Job], Result]] = {
    Action.WARM: _warm,
    Action.PLAN: _plan,
    Action.LACKS: _lacks,
    Action.FETCH: _fetch,
    Action.PREPARE: _prepare,
    Action.VERIFY: _verify,
}
