"""Seeing jobs through: deadlines, dead Lambdas, no progress; against a warm-up that a test writes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from warmup.cli.run_jobs import JobRun, run_jobs
from warmup.protocol.answers import (
    WAITS_FOR_RELAY,
    JobsAnswer,
    JobState,
    JobStatus,
    ModelProgress,
    PruneResult,
)
from warmup.protocol.errors import ErrorKind, ErrorReport, WarmupError
from warmup.protocol.events import Event, JobsEvent, ModelEvent, PruneEvent
from warmup.protocol.models import ModelRequest
from warmup.protocol.records import Record

RESULT = PruneResult((), 7, ())
NOTHING = JobState(JobStatus.UNKNOWN)
Answer = TypeVar("Answer", bound=Record)


class Script:
    """A warm-up whose rounds end as told: `rounds` gives what status says of a model's n-th round."""

    def __init__(self, rounds: Callable[[str, int], JobState]) -> None:
        self.started: list[ModelEvent] = []
        self.began = False
        self._rounds = rounds
        self.most_at_once = 0

    def start(self, event: Event) -> None:
        assert isinstance(event, ModelEvent)
        self.began = True
        self.started.append(event)

    def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer:
        assert isinstance(event, JobsEvent)
        self.most_at_once = max(self.most_at_once, len(event.jobs))
        known = {job: self._state(job) for job in event.jobs} if self.began else {}
        states = JobsAnswer({job: known.get(job, NOTHING) for job in event.jobs})
        assert isinstance(states, answer)
        return states

    def _state(self, job: str) -> JobState:
        [key] = [event.models[0].key for event in self.started if event.job == job]
        number = sum(1 for other in self.started if other.models[0].key == key)
        return self._rounds(key, number)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmup.cli.run_jobs.POLL_SECONDS", (0.0, 0.0))


def state(key: str, name: str, **progress: Any) -> JobState:
    return JobState(JobStatus(name), models={key: ModelProgress(**progress)}, age_s=0.0)


def job_run(name: str) -> JobRun:
    model = ModelRequest(name, None, ())
    return JobRun(model.key, ModelEvent(models=(model,)))


def see_through(client: Script, *names: str, parallel: int = 4) -> list[JobRun]:
    runs = [job_run(name) for name in names]
    run_jobs(client, runs, parallel=parallel, show=lambda run: None)
    return runs


def test_a_job_that_is_done_gives_its_result() -> None:
    client = Script(lambda key, number: state(key, "done", result=RESULT))
    [run] = see_through(client, "a")
    assert (run.result, run.error, len(client.started)) == (RESULT, None, 1)


def test_a_job_that_failed_gives_its_error() -> None:
    error = ErrorReport(ErrorKind.GATED, "ask")
    [run] = see_through(Script(lambda key, number: state(key, "failed", error=error)), "a")
    assert run.error is not None and run.error.report == error


@pytest.mark.parametrize("status", ["failed", "done"])
def test_a_job_that_ends_without_result_and_reason_is_a_bug(status: str) -> None:
    [run] = see_through(Script(lambda key, number: state(key, status)), "a")
    assert run.error is not None and run.error.kind is ErrorKind.BUG
    assert str(run.error) == f"a@main: {status} without a reason"


def test_an_event_that_was_refused_gives_its_error() -> None:
    """Its job has no models."""
    error = ErrorReport(ErrorKind.CACHE, "read-only")
    [run] = see_through(Script(lambda key, number: JobState(JobStatus.FAILED, error=error)), "a")
    assert run.error is not None and run.error.report == error


def test_a_job_that_stopped_at_its_deadline_is_started_again_under_another_name() -> None:
    def rounds(key: str, number: int) -> JobState:
        return (
            state(key, "done", result=RESULT) if number == 6 else state(key, "incomplete", bytes_done=number)
        )

    client = Script(rounds)
    [run] = see_through(client, "a")
    assert run.result == RESULT
    assert len({event.job for event in client.started}) == 6


def test_a_job_without_a_heartbeat_is_started_again() -> None:
    def rounds(key: str, number: int) -> JobState:
        if number == 2:
            return state(key, "done", result=RESULT)
        return replace(state(key, "running", bytes_done=5), age_s=91.0)

    [run] = see_through(Script(rounds), "a")
    assert run.rounds == 2 and run.result == RESULT


def test_rounds_without_progress_end_with_the_point_they_stopped_at() -> None:
    client = Script(lambda key, number: state(key, "incomplete", bytes_done=9, note="fill-mask: export"))
    [run] = see_through(client, "org/m")
    assert len(client.started) == 4
    assert run.error is not None and run.error.kind is ErrorKind.NO_PROGRESS
    assert (
        "org/m@main: the warm-up stopped at its deadline 4 times at the same point (fill-mask: export)"
        in str(run.error)
    )
    assert "warmupMemoryMb" in str(run.error)


def test_going_back_and_forth_between_two_points_is_no_progress() -> None:
    def rounds(key: str, number: int) -> JobState:
        return state(key, "incomplete", **({"bytes_done": 9} if number % 2 else {"note": "waits"}))

    client = Script(rounds)
    [run] = see_through(client, "a")
    assert run.error is not None and run.error.kind is ErrorKind.NO_PROGRESS
    assert len(client.started) < 10


def test_progress_starts_the_count_anew() -> None:
    def rounds(key: str, number: int) -> JobState:
        if number == 12:
            return state(key, "done", result=RESULT)
        return state(key, "incomplete", bytes_done=number // 3)

    [run] = see_through(Script(rounds), "a")
    assert run.rounds == 12 and run.result == RESULT


class Clock:
    """Time that passes by a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("warmup.cli.run_jobs.time", made)
    return made


def test_the_warm_up_answers_a_question_before_it_gets_its_first_event() -> None:
    """What waits for a file system that is not there yet is the question: an event would be lost."""
    order: list[str] = []

    class Asked(Script):
        def start(self, event: Event) -> None:
            order.append("event")
            super().start(event)

        def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer:
            order.append("question")
            return super().ask_warmup(event, answer)

    see_through(Asked(lambda key, number: state(key, "done", result=RESULT)), "a")
    assert order[:2] == ["question", "event"]


def test_a_warm_up_that_cannot_read_its_cache_is_sent_no_event() -> None:
    class Unmounted(Script):
        def ask_warmup(self, event: Event, answer: type[Answer]) -> Answer:
            raise WarmupError(ErrorKind.CACHE, "the mount is stale")

    client = Unmounted(lambda key, number: NOTHING)
    with pytest.raises(WarmupError, match="the mount is stale"):
        see_through(client, "a")
    assert not client.started


def test_an_event_that_was_lost_is_sent_once_more(clock: Clock) -> None:
    def rounds(key: str, number: int) -> JobState:
        return NOTHING if number == 1 else state(key, "done", result=RESULT)

    client = Script(rounds)
    [run] = see_through(client, "a")
    assert (run.result, run.error) == (RESULT, None)
    assert len({event.job for event in client.started}) == 2
    assert clock.now < 2 * 90


def test_the_display_says_early_that_nothing_is_heard(clock: Clock) -> None:
    notes: list[tuple[float, str]] = []
    runs = [job_run("a")]
    run_jobs(
        Script(lambda key, number: NOTHING if number == 1 else state(key, "done", result=RESULT)),
        runs,
        parallel=1,
        show=lambda run: notes.append((clock.now, run.progress.note)),
    )
    first = next(at for at, note in notes if note == "no sign of life yet")
    assert first < 30
    assert "no sign of life for 90 s, sent again" in [note for _, note in notes]


def test_a_job_that_never_begins_is_given_up_after_two_events(clock: Clock) -> None:
    client = Script(lambda key, number: NOTHING)
    [run] = see_through(client, "a")
    assert run.error is not None and run.error.kind is ErrorKind.NOT_STARTED
    assert "no sign of life for 270 s" in str(run.error)
    assert len(client.started) == 2


def test_each_round_of_a_job_may_be_lost_once(clock: Clock) -> None:
    def rounds(key: str, number: int) -> JobState:
        if number in (1, 3):
            return NOTHING
        return state(key, "incomplete", bytes_done=1) if number == 2 else state(key, "done", result=RESULT)

    client = Script(rounds)
    [run] = see_through(client, "a")
    assert run.result == RESULT and len(client.started) == 4


def test_no_more_jobs_run_at_once_than_allowed() -> None:
    polls: dict[str, int] = {}

    def rounds(key: str, number: int) -> JobState:
        polls[key] = polls.get(key, 0) + 1
        return state(key, "done", result=RESULT) if polls[key] == 3 else state(key, "running")

    client = Script(rounds)
    runs = see_through(client, *"abcdef", parallel=2)
    assert client.most_at_once == 2
    assert all(run.result == RESULT for run in runs)


def test_progress_is_shown_as_it_comes() -> None:
    shown: list[int] = []
    answers = iter(
        [state("a@main", "running", bytes_done=1), state("a@main", "done", bytes_done=2, result=RESULT)]
    )
    client = Script(lambda key, number: next(answers))
    run_jobs(client, [job_run("a")], parallel=1, show=lambda run: shown.append(run.progress.bytes_done))
    assert shown == [1, 2]


def test_a_prune_is_seen_through_as_any_other_job() -> None:
    class Pruner(Script):
        def start(self, event: Event) -> None:
            assert isinstance(event, PruneEvent) and event.job
            self.began = True

        def _state(self, job: str) -> JobState:
            return state("cache", "done", result=RESULT)

    run = JobRun("cache", PruneEvent())
    run_jobs(Pruner(lambda key, number: state(key, "done")), [run], parallel=1, show=lambda run: None)
    assert run.result == RESULT


def test_a_warm_up_that_cannot_be_invoked_ends_it_all() -> None:
    class Broken(Script):
        def start(self, event: Event) -> None:
            raise WarmupError(ErrorKind.NOT_DEPLOYED, "nothing there")

    with pytest.raises(WarmupError, match="nothing there"):
        see_through(Broken(lambda key, number: state(key, "done")), "a")


class Waiting(Script):
    """A warm-up that waits for its relay until `relay` has begun."""

    def __init__(self, relay: Script) -> None:
        super().__init__(self._state_of)
        self.relay = relay

    def _state_of(self, key: str, number: int) -> JobState:
        if not self.relay.began:
            return state(key, "running", phase=WAITS_FOR_RELAY)
        return state(key, "done", result=RESULT)


def relayed(name: str, relay: Script) -> JobRun:
    run = job_run(name)
    run.relay = JobRun(run.key, run.event, client=relay)
    return run


def test_a_relay_is_started_by_the_job_that_waits_for_it_and_knows_its_name() -> None:
    relay = Script(lambda key, number: state(key, "done", result=RESULT))
    client = Waiting(relay)
    run = relayed("a", relay)
    run_jobs(client, [run], parallel=1, show=lambda run: None)
    assert (run.result, run.relay and run.relay.result) == (RESULT, RESULT)
    [started], [event] = relay.started, client.started
    assert event.relay is not None and (started.job or "").startswith(f"{event.relay}-")


def test_a_job_that_waits_for_nothing_starts_no_relay() -> None:
    relay = Script(lambda key, number: NOTHING)
    run = relayed("a", relay)
    run_jobs(Script(lambda key, number: state(key, "done", result=RESULT)), [run], parallel=1, show=print)
    assert run.result is RESULT and not relay.started


def test_what_a_relay_fails_with_ends_the_job_that_waits() -> None:
    error = ErrorReport(ErrorKind.GATED, "ask")
    relay = Script(lambda key, number: state(key, "failed", error=error))
    client = Script(lambda key, number: state(key, "running", phase=WAITS_FOR_RELAY))
    run = relayed("a", relay)
    run_jobs(client, [run], parallel=1, show=lambda run: None)
    assert run.error is not None and run.error.report == error


def test_a_relay_that_stops_at_its_deadline_is_called_again_under_the_same_name() -> None:
    def rounds(key: str, number: int) -> JobState:
        if number < 3:
            return state(key, "incomplete", bytes_done=number)
        return state(key, "done", result=RESULT)

    relay = Script(rounds)
    client = Script(
        lambda key, number: (
            state(key, "done", result=RESULT)
            if len(relay.started) == 3
            else state(key, "running", phase=WAITS_FOR_RELAY)
        )
    )
    run = relayed("a", relay)
    run_jobs(client, [run], parallel=1, show=lambda run: None)
    assert run.result is RESULT and run.relay is not None
    assert [event.job for event in relay.started] == [f"{run.relay.name}-{number}" for number in (1, 2, 3)]
