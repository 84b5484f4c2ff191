"""Loading beside the main thread: never waited for before the first call, raised in it, tried again."""

from __future__ import annotations

import threading

import pytest

from hf_lambda.background import Background
from hf_lambda.errors import ColdCache


def test_starting_does_not_wait_and_the_first_call_does():
    may_go = threading.Event()
    loading = Background(lambda: may_go.wait(timeout=60))
    loading.start()  # returns although nothing can be loaded yet
    threading.Timer(0, may_go.set).start()
    assert loading.get() is True


def test_without_a_start_nothing_loads_before_the_first_call():
    loads = []

    def load():
        loads.append(1)
        return "engine"

    loading = Background(load)
    assert loads == []
    assert (loading.get(), loading.get(), loads) == ("engine", "engine", [1])


def test_an_error_of_the_background_is_raised_at_the_call_and_the_next_one_tries_again():
    outcomes = iter([OSError("disk"), "engine"])

    def load():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loading = Background(load)
    loading.start()
    with pytest.raises(OSError, match="disk"):
        loading.get()
    assert loading.get() == "engine"


def test_a_cache_that_was_cold_at_init_and_is_warm_at_the_call_just_works():
    outcomes = iter([ColdCache("cold"), "engine"])

    def load():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loading = Background(load)
    loading.start()
    assert loading.get() == "engine"


def test_a_cache_that_stays_cold_says_so_at_every_call():
    def load():
        raise ColdCache("cold")

    loading = Background(load)
    loading.start()
    for _ in range(2):
        with pytest.raises(ColdCache):
            loading.get()


def test_calls_side_by_side_load_once():
    loads = []
    barrier = threading.Barrier(4)

    def load():
        loads.append(1)
        return "engine"

    loading = Background(load)

    def call():
        barrier.wait()
        loading.get()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1]


def test_two_models_load_one_after_the_other():
    first_may_end, order = threading.Event(), []

    def first():
        order.append("first begins")
        first_may_end.wait(timeout=60)
        order.append("first ends")

    one, two = Background(first), Background(lambda: order.append("second"))
    one.start()
    two.start()
    first_may_end.set()
    one.get()
    two.get()
    assert order.index("first ends") == order.index("first begins") + 1
