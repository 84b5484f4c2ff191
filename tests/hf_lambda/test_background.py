"""Loading beside the main thread: never waited for before the first call, raised in it, tried again."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from hf_lambda.background import Future, wait_for_all
from hf_lambda.errors import ColdCache


def test_starting_does_not_wait_and_the_first_call_does():
    may_go = threading.Event()
    loading = Future(lambda: may_go.wait(timeout=60))
    loading.start()  # returns although nothing can be loaded yet
    threading.Timer(0, may_go.set).start()
    assert loading.result() is True


def test_without_a_start_nothing_loads_before_the_first_call():
    loads = []

    def load():
        loads.append(1)
        return "engine"

    loading = Future(load)
    assert loads == []
    assert (loading.result(), loading.result(), loads) == ("engine", "engine", [1])


def test_an_error_of_the_background_is_raised_at_the_call_and_the_next_one_tries_again():
    outcomes = iter([OSError("disk"), "engine"])

    def load():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loading = Future(load)
    loading.start()
    with pytest.raises(OSError, match="disk"):
        loading.result()
    assert loading.result() == "engine"


def test_after_an_error_that_may_have_passed_the_same_call_computes_again():
    outcomes = iter([ColdCache("cold"), "engine"])

    def load():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert Future(load).start().result(retry=ColdCache) == "engine"


def test_an_error_that_does_not_pass_is_raised_at_every_call():
    def load():
        raise ColdCache("cold")

    loading = Future(load).start()
    for _ in range(2):
        with pytest.raises(ColdCache):
            loading.result(retry=ColdCache)


def test_calls_side_by_side_load_once():
    loads = []
    barrier = threading.Barrier(4)

    def load():
        loads.append(1)
        return "engine"

    loading = Future(load)

    def call():
        barrier.wait()
        loading.result()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1]


def test_waiting_for_all_takes_in_what_a_thread_that_runs_is_only_just_starting(monkeypatch):
    """A model that loads starts its tokenizer: `wait_for_all` may come before that thread is one."""
    starting, waits, done = threading.Event(), threading.Event(), []
    start, join = threading.Thread.start, threading.Thread.join

    def start_late(thread):
        if threading.current_thread() is not threading.main_thread():
            starting.set()
            assert waits.wait(timeout=20)
        start(thread)

    def join_started(thread, timeout=None):
        assert thread.ident is not None, "a thread that is not started yet cannot be joined"
        waits.set()
        join(thread, timeout)

    def load():
        Future(lambda: done.append("tokenizer")).start()
        done.append("model")

    monkeypatch.setattr(threading.Thread, "start", start_late)
    monkeypatch.setattr(threading.Thread, "join", join_started)
    Future(load).start()
    assert starting.wait(timeout=20)
    wait_for_all()
    assert sorted(done) == ["model", "tokenizer"]


def test_what_has_ended_is_not_kept():
    loading = Future(lambda: "engine").start()
    thread = weakref.ref(loading._thread)
    assert loading.result() == "engine"
    gc.collect()
    assert thread() is None
