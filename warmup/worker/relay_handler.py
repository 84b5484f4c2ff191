"""The relay Lambda, outside the VPC: from the Hub into the bucket; where told so, it starts the warm-up."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.repo_id import is_model_folder

from ..cli.access import Client
from ..cli.stack import SwitchedOff, invoke_when_ready
from ..protocol.answers import (
    DownloadPlan,
    JobsAnswer,
    JobState,
    JobStatus,
    RelayedModel,
    read_answer,
)
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action, Event, JobsEvent, ModelEvent, event_from_json
from ..protocol.models import ModelRequest
from ..protocol.records import Json, Record
from .bucket import Bucket, read_state, state_key
from .client_settings import set_client_defaults
from .handler import clock_of, report_of, run_model, status_of
from .jobs import Job, beating, check_job_name
from .logs import log, log_to_stdout

HEARTBEAT_SECONDS = 2.0
"""Each is a request to S3 that is paid for."""
ANSWER_SECONDS = 880
"""The warm-up hashes what its cache has before it says what that lacks."""
_OTHER_FILES_BYTES = 64 << 20
"""Of /tmp, for what is no model."""
_ACTIONS = (Action.FETCH, Action.WARM, Action.PLAN)


@dataclass(frozen=True)
class RelayEnvironment:
    """What the environment variables say: the bucket, the warm-up, how large /tmp is."""

    bucket: str
    warmup_arn: str
    storage_mb: int
    scratch: Path
    variables: Mapping[str, str]

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> RelayEnvironment:
        return cls(
            bucket=variables["STAGING_BUCKET"],
            warmup_arn=variables["WARMUP_FUNCTION"],
            storage_mb=int(variables["RELAY_STORAGE_MB"]),
            scratch=Path(tempfile.gettempdir()) / "relay",
            variables=variables,
        )


def handler(event: Json, context: object) -> dict[str, Json]:
    """Lambda's entry. Never raises: an asynchronous invocation that fails is run again by Lambda itself."""
    set_client_defaults(os.environ)
    log_to_stdout()
    try:
        environment = RelayEnvironment.of(os.environ)
        return answer(event_from_json(event), environment, clock_of(context)).to_json()
    except Exception as error:  # noqa: BLE001 - the edge
        return JobState(JobStatus.FAILED, error=report_of(error, "relay")).to_json()


def answer(event: Event, environment: RelayEnvironment, remaining_s: Callable[[], float]) -> Record:
    """The job's last state, which the bucket keeps too; for a question, what the bucket says of jobs."""
    bucket = Bucket(environment.bucket)
    if isinstance(event, JobsEvent):
        return JobsAnswer({name: _read_job(bucket, name) for name in event.jobs})
    if not isinstance(event, ModelEvent) or event.action not in _ACTIONS or not event.models:
        raise WarmupError(ErrorKind.USAGE, f"the relay takes models and {', '.join(_ACTIONS)}, or jobs")
    job = Job(event.job or uuid.uuid4().hex, event.action, remaining_s)
    check_job_name(job.name)
    log("began", job=job.name, action=event.action.value, models=[model.key for model in event.models])

    def write() -> None:
        bucket.write(state_key(job.name), json.dumps(job.beat.to_json()).encode())

    with (
        _scratch(environment.scratch) as scratch,
        beating(write, every_s=HEARTBEAT_SECONDS, last=write, passing=WarmupError),
    ):
        for model in event.models:
            act = partial(_act, event, model, environment, bucket, scratch, job)
            run_model(model.key, job, act)
        job.end(status_of(job))
    log("ended", job=job.name, action=event.action.value, state=job.state.status.value)
    return job.state


def _act(
    event: ModelEvent,
    model: ModelRequest,
    environment: RelayEnvironment,
    bucket: Bucket,
    scratch: Path,
    job: Job,
) -> RelayedModel | DownloadPlan:
    from .client_settings import read_token
    from .hub import HubSource
    from .relay import Relay

    def note(text: str) -> None:
        job.progress(model.key, note=text)

    variables, warmup = environment.variables, _Warmup(environment.warmup_arn)
    if is_model_folder(model.repo_id):  # the warm-up finds it, or says where it has to be
        warmup.start(ModelEvent(Action.WARM, (model,), job.name))
        return RelayedModel(model.repo_id, "", 0, 0, 0, 0.0)
    source = HubSource(variables.get("HF_ENDPOINT"), read_token(variables), note, job.remaining_s)
    capacity = min(environment.storage_mb << 20, shutil.disk_usage(scratch).free) - _OTHER_FILES_BYTES
    relay = Relay(bucket, source, scratch, capacity, warmup.ask, job)
    if event.action is Action.PLAN:
        return relay.plan(model)
    done = relay.fetch(model)
    if event.action is Action.WARM:
        warmup.start(ModelEvent(Action.WARM, (model,), job.name))
    return done


class _Warmup:
    """The one function that the relay may invoke."""

    def __init__(self, arn: str) -> None:
        once = Config(read_timeout=ANSWER_SECONDS, retries={"mode": "standard", "total_max_attempts": 1})
        region = arn.split(":")[3]
        self._arn, self._client = arn, cast(Client, boto3.client("lambda", region_name=region, config=once))

    def ask(self, action: Action, model: ModelRequest) -> DownloadPlan:
        """What the cache has of `model`."""
        event = ModelEvent(action, (model,))
        try:
            answered = invoke_when_ready(
                self._client, self._arn, json.dumps(event.to_json()).encode(), LogType="Tail"
            )
        except (BotoCoreError, ClientError, SwitchedOff) as error:
            raise WarmupError(ErrorKind.WARMUP, f"the relay cannot ask the warm-up: {error}") from error
        if answered.failure:
            raise WarmupError(
                ErrorKind.WARMUP, f"the warm-up failed as the relay asked it: {answered.failure}"
            )
        state = read_answer(JobState, answered.payload, "pulumi up")
        progress = state.progress(model.key)
        if isinstance(progress.result, DownloadPlan):
            return progress.result
        if said := progress.error or state.error:
            raise WarmupError(said.kind, said.message)
        message = f"the warm-up did not say in time what its cache lacks of {model.key}"
        raise WarmupError(ErrorKind.WARMUP, message)

    def start(self, event: ModelEvent) -> None:
        """Without waiting for it; it has just answered, so that the event is not lost."""
        try:
            self._client.invoke(
                FunctionName=self._arn, InvocationType="Event", Payload=json.dumps(event.to_json()).encode()
            )
        except (BotoCoreError, ClientError) as error:
            raise WarmupError(ErrorKind.WARMUP, f"the relay cannot start the warm-up: {error}") from error


def _read_job(bucket: Bucket, name: str) -> JobState:
    check_job_name(name)
    state = read_state(bucket, state_key(name))
    if state is None:
        return JobState(JobStatus.UNKNOWN)
    return replace(state, age_s=max(0.0, time.time() - (state.heartbeat or 0.0)))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder below `folder`, of which nothing stays: the instance is used again."""
    shutil.rmtree(folder, ignore_errors=True)
    own = folder / uuid.uuid4().hex
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(folder, ignore_errors=True)
