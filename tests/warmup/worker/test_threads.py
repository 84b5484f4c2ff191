"""Work on threads that nobody waits for longer than the result is wanted."""

import threading

import pytest

from warmup.worker.threads import map_on_threads


def test_results_come_in_the_order_of_the_items() -> None:
    assert map_on_threads([3, 1, 2], lambda item, stop: item * 2, workers=3, check=lambda: None) == [6, 2, 4]


def test_nothing_to_do_is_done() -> None:
    assert map_on_threads([], lambda item, stop: item, workers=3, check=lambda: None) == []


def test_the_first_failure_is_raised_and_stops_the_rest() -> None:
    begun: list[int] = []

    def work(item: int, stop: threading.Event) -> None:
        begun.append(item)
        if item == 0:
            raise KeyError("zero")
        stop.wait(10)

    with pytest.raises(KeyError, match="zero"):
        map_on_threads(range(100), work, workers=2, check=lambda: None)
    assert len(begun) <= 3


def test_a_check_that_raises_ends_the_call_though_a_thread_is_stuck() -> None:
    stuck, release = threading.Event(), threading.Event()

    def check() -> None:
        if stuck.is_set():
            raise TimeoutError

    def work(item: int, stop: threading.Event) -> None:
        stuck.set()
        release.wait(10)

    with pytest.raises(TimeoutError):
        map_on_threads([1], work, workers=1, check=check)
    release.set()
