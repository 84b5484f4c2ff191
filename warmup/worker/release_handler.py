"""The release Lambda, outside the VPC: after a deployment of a gated stack it does what the command does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from discovery import Script, read_scripts

from ..cli.access import Access
from ..cli.command import Command
from ..cli.stack import StackClient
from ..protocol.answers import ModelProgress
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import ReleaseEvent
from ..protocol.outputs import STACK_OUTPUTS, StackOutputs
from ..protocol.records import Json, WrongShape
from ..protocol.reports import WarmReport
from .client_settings import set_client_defaults
from .handler import clock_of, report_of
from .jobs import OutOfTime
from .logs import log, log_to_stdout

MARGIN_SECONDS = 60.0
"""Before the end of an invocation, so that the next one is started while there is time."""
MOST_ROUNDS = 8
"""Invocations after the first in which models are warmed.

With those of the longest canary, MOST_CANARY_MINUTES, they stay below what Lambda stops.
"""
_PARALLEL = 4


def handler(event: Json, context: object) -> dict[str, Json]:
    """Lambda's entry, for events without an answer.

    What fails is raised, so that Lambda sends the event twice more: a run begins with what the stack is then.
    """
    set_client_defaults(os.environ)
    log_to_stdout()
    try:
        outputs = StackOutputs.from_json(json.loads(os.environ[STACK_OUTPUTS]))
        client = StackClient(outputs, Access(outputs.region))
        own_arn = str(getattr(context, "invoked_function_arn", ""))
        return run(
            _read(event),
            client,
            read_scripts(Path(os.environ["LAMBDA_TASK_ROOT"])),
            clock_of(context),
            lambda following: _start(client, own_arn, following),
        ).to_json()
    except Exception as error:
        report_of(error, "release")
        raise


def run(
    event: ReleaseEvent,
    client: StackClient,
    scripts: Sequence[Script],
    remaining_s: Callable[[], float],
    start: Callable[[ReleaseEvent], None],
) -> WarmReport:
    """What was done in this invocation; `start` another one where that is not all.

    Raises WarmupError where the stack cannot be asked at all.
    """
    log("began", action="release", round=event.round)
    command = Command(
        client, scripts, only=None, parallel=_PARALLEL, time_left=lambda: remaining_s() - MARGIN_SECONDS
    )
    shown = _Logged()
    try:
        if event.canaries_since is None:
            outcome = command.warm(shown)
        else:
            outcome = command.watch(shown, event.canaries_since)
    except OutOfTime:
        failures: tuple[str, ...] = ()
        if event.round < MOST_ROUNDS:
            # What runs in the warm-up goes on; the next one waits for its lock and finds what it did.
            _go_on(ReleaseEvent(event.round + 1), start)
        else:
            failures = (
                f"models were not warm after {event.round + 1} invocations, so that the versions that wait "
                f"do not serve: python -m warmup --stack {client.outputs.stack}",
            )
            log("failed", message=failures[0])
        return WarmReport(client.outputs.stack, errors=failures)
    report = outcome.report
    assert isinstance(report, WarmReport)
    for each in report.releases:
        log("release", endpoint=each.name, version=each.version, before=each.before, error=each.error)
    for failure in outcome.failures:
        log("failed", message=failure)
    if outcome.canaries_since is not None:
        _go_on(ReleaseEvent(event.round + 1, outcome.canaries_since), start)
    else:
        log("ended", action="release", failures=len(outcome.failures))
    return report


def _go_on(following: ReleaseEvent, start: Callable[[ReleaseEvent], None]) -> None:
    start(following)
    log("goes on", round=following.round, canaries=following.canaries_since is not None)


class _Logged:
    """A line where a phase begins."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, str]] = {}

    def show(self, key: str, progress: ModelProgress) -> None:
        now = progress.phase, progress.note if progress.phase == "release" else ""
        if progress.phase and self._last.get(key) != now:
            self._last[key] = now
            log("progress", key=key, phase=progress.phase, note=progress.note)


def _read(raw: Json) -> ReleaseEvent:
    try:
        return ReleaseEvent.from_json(raw)
    except WrongShape as wrong:
        raise WarmupError(ErrorKind.USAGE, f"event: {wrong}. Write {{}}") from wrong


def _start(client: StackClient, arn: str, event: ReleaseEvent) -> None:
    try:
        client.lambda_client(60).invoke(
            FunctionName=arn, InvocationType="Event", Payload=json.dumps(event.to_json()).encode()
        )
    except (BotoCoreError, ClientError) as error:
        raise client.worded(error, arn) from error
