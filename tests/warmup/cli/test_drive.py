"""Seeing jobs through: deadlines, dead Lambdas, no progress; against a warm-up that a test writes."""

from collections.abc import Callable
from typing import Any

import pytest

from warmup.cli.drive import Order, drive
from warmup.errors import WarmupError

State = dict[str, Any]


class Script:
    """A warm-up whose rounds end as told: each entry of `rounds` is what status says of that round."""

    def __init__(self, rounds: Callable[[str, int], State]) -> None:
        self.started: list[dict[str, Any]] = []
        self._rounds = rounds
        self.most_at_once = 0
        self._ended: set[str] = set()

    def start(self, event: dict[str, Any]) -> None:
        self.started.append(event)

    def ask_warmup(self, event: dict[str, Any]) -> dict[str, Any]:
        self.most_at_once = max(self.most_at_once, len(event["jobs"]))
        return {"jobs": {job: self._state(job) for job in event["jobs"]}}

    def _state(self, job: str) -> State:
        event = next(event for event in self.started if event["job"] == job)
        number = sum(1 for other in self.started if other["key"] == event["key"])
        return self._rounds(event["key"], number)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmup.cli.drive.POLL_SECONDS", (0.0, 0.0))


def state(key: str, name: str, **progress: Any) -> State:
    return {"state": name, "age_s": 0.0, "models": {key: progress}}


def see_through(warmer: Script, *keys: str, parallel: int = 4) -> list[Order]:
    orders = [Order(key, {"action": "warm", "key": key}) for key in keys]
    drive(warmer, orders, parallel=parallel, show=lambda order: None)
    return orders


def test_a_job_that_is_done_gives_its_result() -> None:
    warmer = Script(lambda key, number: state(key, "done", result={"bytes": 7}))
    [order] = see_through(warmer, "a")
    assert (order.result, order.error, len(warmer.started)) == ({"bytes": 7}, None, 1)


def test_a_job_that_failed_gives_its_error() -> None:
    warmer = Script(lambda key, number: state(key, "failed", error={"kind": "gated", "message": "ask"}))
    [order] = see_through(warmer, "a")
    assert order.error is not None and (order.error.kind, str(order.error)) == ("gated", "ask")


def test_a_job_that_stopped_at_its_deadline_is_started_again_under_another_name() -> None:
    def rounds(key: str, number: int) -> State:
        return state(key, "done", result={}) if number == 6 else state(key, "incomplete", bytes_done=number)

    warmer = Script(rounds)
    [order] = see_through(warmer, "a")
    assert order.result == {}
    assert len({event["job"] for event in warmer.started}) == 6


def test_a_job_without_a_heartbeat_is_started_again() -> None:
    def rounds(key: str, number: int) -> State:
        if number == 2:
            return state(key, "done", result={})
        return {**state(key, "running", bytes_done=5), "age_s": 91.0}

    [order] = see_through(Script(rounds), "a")
    assert order.rounds == 2 and order.result == {}


def test_rounds_without_progress_end_with_the_point_they_stopped_at() -> None:
    warmer = Script(lambda key, number: state(key, "incomplete", bytes_done=9, note="fill-mask: export"))
    [order] = see_through(warmer, "org/m@main")
    assert len(warmer.started) == 4
    assert order.error is not None and order.error.kind == "no progress"
    assert (
        "org/m@main: the warm-up stopped at its deadline 4 times at the same point (fill-mask: export)"
        in str(order.error)
    )
    assert "warmupMemoryMb" in str(order.error)


def test_progress_starts_the_count_anew() -> None:
    def rounds(key: str, number: int) -> State:
        if number == 12:
            return state(key, "done", result={})
        return state(key, "incomplete", bytes_done=number // 3)

    [order] = see_through(Script(rounds), "a")
    assert order.rounds == 12 and order.result == {}


def test_a_job_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmup.cli.drive.START_SECONDS", 0.0)
    [order] = see_through(Script(lambda key, number: {"state": "unknown"}), "a")
    assert order.error is not None and order.error.kind == "not started"
    assert "no sign of life" in str(order.error)


def test_no_more_jobs_run_at_once_than_allowed() -> None:
    polls: dict[str, int] = {}

    def rounds(key: str, number: int) -> State:
        polls[key] = polls.get(key, 0) + 1
        return state(key, "done", result={}) if polls[key] == 3 else state(key, "running")

    warmer = Script(rounds)
    orders = see_through(warmer, *"abcdef", parallel=2)
    assert warmer.most_at_once == 2
    assert all(order.result == {} for order in orders)


def test_progress_is_shown_as_it_comes() -> None:
    shown: list[dict[str, Any]] = []
    answers = iter([state("a", "running", bytes_done=1), state("a", "done", bytes_done=2, result={})])
    order = Order("a", {"key": "a"})
    warmer = Script(lambda key, number: next(answers))
    drive(warmer, [order], parallel=1, show=lambda order: shown.append({**order.progress}))
    assert [progress["bytes_done"] for progress in shown] == [1, 2]


def test_a_warm_up_that_cannot_be_invoked_ends_it_all() -> None:
    class Broken(Script):
        def start(self, event: dict[str, Any]) -> None:
            raise WarmupError("not deployed", "nothing there")

    with pytest.raises(WarmupError, match="nothing there"):
        see_through(Broken(lambda key, number: {}), "a")
