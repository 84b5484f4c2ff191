"""The progress file of one invocation: written by the Lambda, polled by the command."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_lambda.atomic import replace_text

from ..errors import OutOfTime, WarmupError

HEARTBEAT_SECONDS = 1.0
MARGIN_SECONDS = 20.0
"""Left before the Lambda's deadline for the last write and the answer."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class Job:
    """State of one invocation. A thread writes it every second while `running`; its age says who is alive."""

    def __init__(self, cache: Path, name: str, action: str, remaining_s: Callable[[], float]) -> None:
        self._path = job_path(cache, name)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._remaining_s = remaining_s
        self.out_of_time = False
        self.document: dict[str, Any] = {"job": name, "action": action, "state": "running", "models": {}}

    def check(self) -> None:
        """Raises OutOfTime when the deadline is near."""
        if self.remaining_s() <= 0:
            self.out_of_time = True
            raise OutOfTime

    def remaining_s(self) -> float:
        """Seconds of work left before this invocation has to stop by itself."""
        return self._remaining_s() - MARGIN_SECONDS

    def progress(self, key: str, **fields: Any) -> None:
        """Set fields of the model `key`: phase, bytes_done, bytes_total, files_total, note, ..."""
        with self._lock:
            self.document["models"].setdefault(key, {}).update(fields)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write now, every second from now on, and once more at the end."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write()
        beat = threading.Thread(target=self._beat, daemon=True)
        beat.start()
        try:
            yield
        finally:
            self._ended.set()
            beat.join()
            self._write()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._lock:
            text = json.dumps({**self.document, "heartbeat": time.time()})
        replace_text(self._path, text)


def job_path(cache: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise WarmupError("usage", f"job: {name!r} is not a name. Use letters, digits, '.', '_' and '-'")
    return cache / "jobs" / f"{name}.json"


def read_job(cache: Path, name: str) -> dict[str, Any] | None:
    """The progress of `name`, with `age_s` since its last sign of life; None where it has not begun."""
    try:
        document: dict[str, Any] = json.loads(job_path(cache, name).read_text())
    except FileNotFoundError:
        return None
    # Both clocks are Lambda's: the one of the machine that runs the command may be wrong.
    return {**document, "age_s": max(0.0, time.time() - document["heartbeat"])}
