"""How far one invocation is: kept in memory, and in a progress file that the command polls."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hf_lambda.atomic import replace_text
from hf_lambda.records import read_file

from ..protocol.answers import JobState, JobStatus, ModelProgress
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action
from ..protocol.records import Json, WrongShape

HEARTBEAT_SECONDS = 1.0
MARGIN_SECONDS = 20.0
"""Left before the Lambda's deadline for the last write and the answer."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class OutOfTime(Exception):  # noqa: N818 - not a fault: the command invokes again
    """The deadline is near; what is done stays, the next invocation goes on from there."""


class Job:
    """What one invocation does. `changed` is told of every progress of a model."""

    def __init__(
        self,
        name: str,
        action: Action,
        remaining_s: Callable[[], float],
        changed: Callable[[str, ModelProgress], None] = lambda key, progress: None,
    ) -> None:
        self.name, self.action = name, action
        self._remaining_s, self._changed = remaining_s, changed
        self._lock = threading.Lock()
        self._status = JobStatus.RUNNING
        self._models: dict[str, ModelProgress] = {}

    def check(self) -> None:
        """Raises OutOfTime when the deadline is near."""
        if self.remaining_s() <= 0:
            raise OutOfTime

    def remaining_s(self) -> float:
        """Seconds of work left before this invocation has to stop by itself."""
        return self._remaining_s() - MARGIN_SECONDS

    def progress(self, key: str, **changes: Json) -> None:
        """Set fields of the ModelProgress of `key`."""
        with self._lock:
            self._models[key] = replace(self._models.get(key, ModelProgress()), **changes)
            now = self._models[key]
        self._changed(key, now)

    def end(self, status: JobStatus) -> None:
        with self._lock:
            self._status = status

    @property
    def state(self) -> JobState:
        with self._lock:
            return JobState(self._status, self.name, self.action, {**self._models})

    @property
    def beat(self) -> JobState:
        """The state with this machine's clock."""
        return replace(self.state, heartbeat=time.time())


@contextmanager
def recorded(job: Job, cache: Path) -> Iterator[None]:
    """Write the job's state into its file now, every second (its age says who is alive), and at the end.

    Raises WarmupError where its name cannot be that of a file.
    """
    path = job_path(cache, job.name)
    # A full disk may have room again for the next beat.
    with beating(
        lambda: _write(path, job),
        every_s=HEARTBEAT_SECONDS,
        last=lambda: _write_at_last(path, job),
        passing=OSError,
    ):
        yield


@contextmanager
def beating(
    write: Callable[[], None], *, every_s: float, last: Callable[[], None], passing: type[Exception]
) -> Iterator[None]:
    """Call `write` now and every so often, where `passing` is nothing to stop for, and `last` at the end."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_s):
            with contextlib.suppress(passing):
                write()

    write()
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        last()


def read_job(cache: Path, name: str) -> JobState:
    """The state in the file of `name`, with `age_s` since it was written; `unknown` where there is none."""
    try:
        state = JobState.from_json(json.loads(read_file(job_path(cache, name))))
    except (OSError, WrongShape, ValueError, RecursionError):
        return JobState(JobStatus.UNKNOWN)
    # Both clocks are Lambda's: the one of the machine that runs the command may be wrong.
    return replace(state, age_s=max(0.0, time.time() - (state.heartbeat or 0.0)))


def job_path(cache: Path, name: str) -> Path:
    check_job_name(name)
    return cache / "jobs" / f"{name}.json"


def check_job_name(name: str) -> None:
    """Raises WarmupError where `name` cannot be that of a file."""
    if not _NAME.fullmatch(name):
        raise WarmupError(
            ErrorKind.USAGE, f"job: {name!r} is not a name. Use letters, digits, '.', '_' and '-'"
        )


def _write_at_last(path: Path, job: Job) -> None:
    """Without this file the command believes the run dead, so the one before it goes if it has to."""
    try:
        _write(path, job)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        path.unlink(missing_ok=True)
        _write(path, job)


def _write(path: Path, job: Job) -> None:
    replace_text(path, json.dumps(job.beat.to_json()), within=path.parents[1])
