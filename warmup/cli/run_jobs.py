"""Runs jobs on the warm-up Lambda to their end: start, poll, start again where one stopped or died."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from ..protocol.answers import WAITS_FOR_RELAY, JobsAnswer, JobState, JobStatus, ModelProgress, Result
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Event, JobsEvent, ModelEvent, PruneEvent
from ..protocol.records import Record

STALE_SECONDS = 90.0
"""Without a heartbeat for so long, the Lambda is gone (a heartbeat comes every second)."""
QUIET_SECONDS = 15.0
"""Without a first sign of life for so long, the display says so: queue, image pull, mount."""
START_SECONDS = 90.0
"""Without one for so long, the event was lost: it is sent once more. Twice as long, and it is given up."""
ROUNDS_WITHOUT_PROGRESS = 4
"""Prepare gives up on a step after three starts; the fourth round is the one that says so."""
POLL_SECONDS = (0.2, 2.0)
"""First pause and largest pause between two polls."""
_FIXES = {
    False: "Give it more memory or time: pulumi config set warmupMemoryMb",
    True: "See its log; another egress goes without it",
}
Answer = TypeVar("Answer", bound=Record)


class WarmupClient(Protocol):
    """What this needs of a StackClient."""

    def start(self, event: Event) -> None: ...

    def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer: ...


@dataclass(eq=False)
class JobRun:
    """One job to see through. `key`: under which its progress appears; ends with `result` or `error`.

    client: where it runs, None: on the warm-up. relay: what brings the job what it waits for, started when it
    does. label: what people are shown instead of the key.
    """

    key: str
    event: ModelEvent | PruneEvent
    client: WarmupClient | None = None
    relay: JobRun | None = None
    label: str = ""
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    """What the names of its rounds begin with."""
    progress: ModelProgress = field(default_factory=ModelProgress)
    error: WarmupError | None = None
    result: Result | None = None
    job: str = ""
    rounds: int = 0
    rounds_without_progress: int = 0
    stopped_at: set[tuple[int, str]] = field(default_factory=set)
    """Where earlier rounds stopped: bytes on disk, note."""
    furthest: int = 0
    started: float = 0.0
    sent_again: bool = False
    """Because nothing was heard of it."""

    @property
    def over(self) -> bool:
        return self.error is not None or self.result is not None


def run_jobs(
    client: WarmupClient, runs: Sequence[JobRun], *, parallel: int, show: Callable[[JobRun], None]
) -> None:
    """See `runs` through, at most `parallel` (1 or more) at once.

    `show` is called whenever a run's progress may have changed. Raises WarmupError where the warm-up cannot
    be invoked at all, or cannot read its cache.
    """
    waiting, active = list(runs), list[JobRun]()
    pause, poll_s = threading.Event(), POLL_SECONDS[0]
    asked: list[WarmupClient] = []
    while waiting or active:
        while waiting and sum(run in runs for run in active) < parallel:
            active.append(waiting.pop(0))
            _start(_client(client, active[-1], asked), active[-1])
        for each in [run for run in active if _needs_relay(run)]:
            assert each.relay is not None
            active.append(each.relay)
            _start(_client(client, each.relay, asked), each.relay)
        for place in asked:
            by_job = {run.job: run for run in active if (run.client or client) is place}
            if not by_job:
                continue
            answer = place.ask_warmup(JobsEvent(tuple(by_job)), JobsAnswer)
            for job, run in by_job.items():
                _update(place, run, answer.jobs.get(job, JobState(JobStatus.UNKNOWN)))
                show(run)
        for run in active:
            if run.relay and run.relay.error and not run.over:
                run.error = run.relay.error
        # A relay is seen to its end, for the report, unless what it was started for has failed.
        vain = [run.relay for run in active if run.error]
        active = [run for run in active if not run.over and run not in vain]
        pause.wait(poll_s)
        poll_s = min(POLL_SECONDS[1], poll_s * 1.5)


def _client(client: WarmupClient, run: JobRun, asked: list[WarmupClient]) -> WarmupClient:
    """Where `run` runs; what has just been deployed may not reach its file system, or its bucket, yet.

    This waits for it, and says what is wrong with it: of an event, which nobody answers, only silence would
    be heard.
    """
    found = run.client or client
    if found not in asked:
        found.ask_warmup(JobsEvent((f"{run.name}-0",)), JobsAnswer)
        asked.append(found)
    return found


def _needs_relay(run: JobRun) -> bool:
    return run.relay is not None and run.relay.rounds == 0 and run.progress.phase == WAITS_FOR_RELAY


def _start(client: WarmupClient, run: JobRun) -> None:
    run.rounds += 1
    # A new name for every round: what an invocation believed dead still writes is never taken for this one's.
    run.job = f"{run.name}-{run.rounds}"
    run.started = time.monotonic()
    event = replace(run.event, job=run.job)
    if run.relay and isinstance(event, ModelEvent):
        event = replace(event, relay=run.relay.name)
    client.start(event)


def _update(client: WarmupClient, run: JobRun, state: JobState) -> None:
    if state.status is JobStatus.UNKNOWN:
        _wait_for_a_sign(client, run)
        return
    run.sent_again = False
    if run.key in (state.models or {}):
        run.progress = state.progress(run.key)
    if state.status is JobStatus.DONE and run.progress.result is not None:
        run.result = run.progress.result
    elif state.status in (JobStatus.DONE, JobStatus.FAILED):
        error = run.progress.error or state.error
        run.error = (
            WarmupError(error.kind, error.message)
            if error
            else WarmupError(ErrorKind.BUG, f"{run.key}: {state.status.value} without a reason")
        )
    elif state.status is JobStatus.INCOMPLETE:
        _start_again(client, run, "stopped at its deadline")
    elif state.age_s is not None and state.age_s > STALE_SECONDS:
        _start_again(client, run, "died")


def _wait_for_a_sign(client: WarmupClient, run: JobRun) -> None:
    silent_s = time.monotonic() - run.started
    if run.sent_again and silent_s > 2 * START_SECONDS:
        run.error = WarmupError(
            ErrorKind.NOT_STARTED,
            f"{run.key}: {_who(run)} answers, but showed no sign of life for {3 * START_SECONDS:.0f} s, in "
            "which it was sent two events. Lambda holds events back while the account's concurrency is used "
            "up. See its log",
        )
    elif not run.sent_again and silent_s > START_SECONDS:
        run.sent_again = True
        run.progress = replace(run.progress, note=f"no sign of life for {START_SECONDS:.0f} s, sent again")
        _start(client, run)
    elif not run.sent_again and silent_s > QUIET_SECONDS:
        run.progress = replace(run.progress, phase=run.progress.phase or "start", note="no sign of life yet")


def _start_again(client: WarmupClient, run: JobRun, how: str) -> None:
    progress = run.progress
    run.furthest = max(run.furthest, progress.bytes_done)
    point = (run.furthest, progress.note)
    run.rounds_without_progress = run.rounds_without_progress + 1 if point in run.stopped_at else 0
    run.stopped_at.add(point)
    if run.rounds_without_progress + 1 >= ROUNDS_WITHOUT_PROGRESS:
        where = progress.left or progress.note or progress.phase or "start"
        run.error = WarmupError(
            ErrorKind.NO_PROGRESS,
            f"{run.key}: {_who(run)} {how} {run.rounds_without_progress + 1} times at the same point "
            f"({where}). {_FIXES[run.client is not None]}",
        )
        return
    run.progress = replace(progress, phase=f"round {run.rounds + 1}")
    _start(client, run)


def _who(run: JobRun) -> str:
    return "the relay" if run.client else "the warm-up"
