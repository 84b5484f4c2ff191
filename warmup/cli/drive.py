"""Runs jobs on the warm-up Lambda to their end: start, poll, start again where one stopped or died."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import WarmupError

STALE_SECONDS = 90.0
"""Without a heartbeat for so long, the Lambda is gone (a heartbeat comes every second)."""
START_SECONDS = 300.0
"""A first sign of life: queue, image pull, mount."""
ROUNDS_WITHOUT_PROGRESS = 4
"""Prepare gives up on a step after three starts; the fourth round is the one that says so."""
POLL_SECONDS = (0.2, 2.0)
"""First pause and largest pause between two polls."""


class Warmer(Protocol):
    def start(self, event: dict[str, Any]) -> None: ...

    def ask_warmup(self, event: dict[str, Any]) -> dict[str, Any]: ...


@dataclass
class Order:
    """One job to see through: an event, the key under which its progress appears, how it stands."""

    key: str
    event: dict[str, Any]
    progress: dict[str, Any] = field(default_factory=dict)
    error: WarmupError | None = None
    result: dict[str, Any] | None = None
    job: str = ""
    rounds: int = 0
    stuck: int = 0
    mark: tuple[Any, ...] = ()
    started: float = 0.0

    @property
    def over(self) -> bool:
        return self.error is not None or self.result is not None


def drive(warmer: Warmer, orders: Sequence[Order], *, parallel: int, show: Callable[[Order], None]) -> None:
    """See `orders` through, at most `parallel` at once; each ends with `result` or `error`.

    `show` is called whenever an order's progress may have changed. Raises WarmupError where the warm-up
    cannot be invoked at all.
    """
    waiting, active = list(orders), list[Order]()
    pause, poll_s = threading.Event(), POLL_SECONDS[0]
    while waiting or active:
        while waiting and len(active) < parallel:
            active.append(waiting.pop(0))
            _start(warmer, active[-1])
        jobs = {order.job: order for order in active}
        states = warmer.ask_warmup({"action": "status", "jobs": list(jobs)})["jobs"]
        for job, order in jobs.items():
            _judge(warmer, order, states[job])
            show(order)
        active = [order for order in active if not order.over]
        pause.wait(poll_s)
        poll_s = min(POLL_SECONDS[1], poll_s * 1.5)


def _start(warmer: Warmer, order: Order) -> None:
    order.rounds += 1
    # A new name for every round: what an invocation believed dead still writes is never taken for this one's.
    order.job = f"{uuid.uuid4().hex[:16]}-{order.rounds}"
    order.started = time.monotonic()
    warmer.start({**order.event, "job": order.job})


def _judge(warmer: Warmer, order: Order, state: dict[str, Any]) -> None:
    if state["state"] == "unknown":
        if time.monotonic() - order.started > START_SECONDS:
            order.error = WarmupError(
                "not started",
                f"{order.key}: the warm-up showed no sign of life for {START_SECONDS:.0f} s. See its log",
            )
        return
    order.progress = {**order.progress, **state["models"].get(order.key, {})}
    if state["state"] == "done":
        order.result = order.progress["result"]
    elif state["state"] == "failed":
        error = order.progress.get("error") or {
            "kind": "bug",
            "message": f"{order.key}: failed without a reason",
        }
        order.error = WarmupError(error["kind"], error["message"])
    elif state["state"] == "incomplete" or state["age_s"] > STALE_SECONDS:
        _again(warmer, order, "stopped at its deadline" if state["state"] == "incomplete" else "died")


def _again(warmer: Warmer, order: Order, how: str) -> None:
    progress = order.progress
    mark = (progress.get("bytes_done"), progress.get("note"))
    order.stuck = order.stuck + 1 if mark == order.mark else 0
    order.mark = mark
    if order.stuck + 1 >= ROUNDS_WITHOUT_PROGRESS:
        where = progress.get("left") or progress.get("note") or progress.get("phase") or "start"
        order.error = WarmupError(
            "no progress",
            f"{order.key}: the warm-up {how} {order.stuck + 1} times at the same point ({where}). "
            "Give it more memory or time: pulumi config set warmupMemoryMb",
        )
        return
    progress["phase"] = f"round {order.rounds + 1}"
    _start(warmer, order)
