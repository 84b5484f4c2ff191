"""Drives a batch: a bounded number of requests at once, answers written in the order of their events."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hf_lambda.events import MAX_REQUEST_BYTES

from ..cli.access import Client
from ..cli.ask import answer_body, fault_of
from ..cli.stack import ANSWER_TIMEOUT_SECONDS, Busy, Invocation, Refused, StackClient
from ..prices import million_usd
from ..protocol.errors import ErrorKind, WarmupError
from .files import Answer, Failed, InputLine, Output, OutputLine

PATIENCE_S = 600.0
"""So long a run waits for a function of which nothing but refusals comes; then it stops, to be resumed."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
"""After a refusal; twice as long after each that follows without an answer between them."""
_AHEAD = 4
"""Lines that are read for each request under way: one slow answer must not idle the others."""
_HELD_BYTES = 256 << 20
"""Of events and answers that wait for a line before them."""


@dataclass
class Tally:
    """What this run did, and what it cost by what Lambda billed. `failed` lines are among `written`."""

    written: int = 0
    failed: int = 0
    refusals: int = 0
    """Requests that Lambda refused for the time being; they were sent again."""
    usd: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Target:
    """The function that answers, and what its seconds cost."""

    arn: str
    memory_mb: int
    architecture: str


class Throttle:
    """How many requests are under way: halved when Lambda refuses one, one more after a round of answers."""

    def __init__(self, most: int, first_pause_s: float) -> None:
        self._most, self._limit, self._running = most, float(most), 0
        self._first_pause_s = self._pause_s = first_pause_s
        self._not_before, self._last_answer = 0.0, time.monotonic()
        self._answered = False
        self._changed = threading.Condition()

    def enter(self) -> None:
        """Wait for a turn."""
        with self._changed:
            while True:
                wait_s = self._not_before - time.monotonic()
                if wait_s <= 0 and self._running < max(1, int(self._limit)):
                    self._running += 1
                    return
                self._changed.wait(wait_s if wait_s > 0 else None)

    def answered(self) -> None:
        with self._changed:
            self._running -= 1
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._pause_s, self._last_answer, self._answered = self._first_pause_s, time.monotonic(), True
            self._changed.notify_all()

    def refused(self, busy: Busy) -> None:
        """Raises WarmupError where it is not worth waiting any longer."""
        with self._changed:
            self._running -= 1
            now = time.monotonic()
            hopeless = not self._answered and not busy.reached
            if hopeless or now - self._last_answer > PATIENCE_S:
                self._changed.notify_all()
                raise busy.problem from busy
            if now >= self._not_before:  # once for all that were refused together
                self._limit = max(1.0, self._limit / 2)
                self._not_before = now + self._pause_s * random.uniform(0.5, 1.0)
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._changed.notify_all()


class Batch:
    """One run. `show` hears of every line that was written."""

    def __init__(
        self,
        client: StackClient,
        target: Target,
        *,
        parallel: int,
        show: Callable[[Tally], None] = lambda tally: None,
    ) -> None:
        self.tally = Tally()
        self.show = show
        self._client, self._target, self._parallel = client, target, parallel
        self._throttle = Throttle(parallel, FIRST_PAUSE_S)
        self._todo: queue.SimpleQueue[InputLine | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[InputLine, bytes | WarmupError]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def run(self, lines: Iterator[InputLine], output: Output) -> None:
        """Answer `lines` into `output`. Raises WarmupError; what was written until then stays."""
        # Daemons: at a stop nobody waits for requests of up to 15 minutes.
        lambda_client = self._client.lambda_client(
            ANSWER_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=self._parallel,
        )
        for number in range(self._parallel):
            name = f"batch-{number}"
            threading.Thread(target=self._work, args=(lambda_client,), name=name, daemon=True).start()
        try:
            self._drive(lines, output)
        finally:
            for _ in range(self._parallel):
                self._todo.put(None)

    def _drive(self, lines: Iterator[InputLine], output: Output) -> None:
        under_way = held = 0
        waiting: dict[int, bytes] = {}
        exhausted = False
        while True:
            while not exhausted and under_way + len(waiting) < _AHEAD * self._parallel and held < _HELD_BYTES:
                if (line := next(lines, None)) is None:
                    exhausted = True
                    break
                self._todo.put(line)
                under_way, held = under_way + 1, held + len(line.event or b"")
            if not under_way:
                return
            line, result = self._done.get()
            if isinstance(result, WarmupError):
                raise result
            waiting[line.number] = result
            under_way, held = under_way - 1, held + len(result) - len(line.event or b"")
            while encoded := waiting.pop(output.done + 1, None):
                output.write(encoded)
                held -= len(encoded)
                self.tally.written += 1
                self.show(self.tally)

    def _work(self, lambda_client: Client) -> None:
        while line := self._todo.get():
            result: bytes | WarmupError
            try:
                answered = self._answer(lambda_client, line)
                with self._lock:
                    self.tally.failed += isinstance(answered, Failed)
                result = OutputLine.of(line, answered).to_bytes()
            except WarmupError as error:
                result = error
            except Exception as error:  # noqa: BLE001 - the run, which waits, must hear of it
                result = WarmupError(ErrorKind.BUG, f"line {line.number}: {type(error).__name__}: {error}")
            self._done.put((line, result))

    def _answer(self, lambda_client: Client, line: InputLine) -> Answer | Failed:
        """Raises WarmupError where no line would be answered."""
        if line.event is None:
            return Failed(f"the line is longer than a request may be, {MAX_REQUEST_BYTES} bytes")
        try:
            json.loads(line.event)
        except (ValueError, RecursionError) as error:
            return Failed(f"the line is not JSON: {error}")
        while True:
            self._throttle.enter()
            try:
                invocation = self._client.ask_once(lambda_client, self._target.arn, line.event)
            except Busy as busy:
                with self._lock:
                    self.tally.refusals += 1
                self._throttle.refused(busy)
                continue
            except Refused as refused:
                self._throttle.answered()
                return Failed(str(refused))
            except BaseException:
                self._throttle.answered()
                raise
            self._throttle.answered()
            self._count(invocation)
            return _judged(invocation)

    def _count(self, invocation: Invocation) -> None:
        if (billed_ms := invocation.billed_ms) is not None:
            of_a_million = million_usd(self._target.memory_mb, billed_ms, self._target.architecture)
            with self._lock:
                self.tally.usd += of_a_million / 1_000_000


def _judged(invocation: Invocation) -> Answer | Failed:
    """Raises WarmupError where the next line would be answered so too."""
    fault = fault_of(invocation)
    if fault is None:
        return Answer(answer_body(invocation.payload))
    if fault.is_of_the_endpoint:
        raise WarmupError(ErrorKind.ENDPOINT, fault.message)
    return Failed(fault.message, fault.status)
