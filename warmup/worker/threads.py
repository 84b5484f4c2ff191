"""Runs a function over items on threads that never outlive the wish for their result."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
CHECK_SECONDS = 0.2


class Stopped(Exception):  # noqa: N818 - not a fault
    """Raised inside `work` once `stop` is set: nobody waits for its result any more."""


def map_on_threads(
    items: Sequence[Item],
    work: Callable[[Item, threading.Event], Result],
    *,
    workers: int,
    check: Callable[[], None],
) -> list[Result]:
    """`[work(item, stop) for item in items]`, in the items' order, on at most `workers` daemon threads.

    `check` is called a few times a second on the caller's thread. What it raises, or the first thing that
    `work` raises, ends the call at once: `stop` is set and no thread is waited for, because one that reads
    from a dead connection may need a minute to notice.
    """
    stop = threading.Event()
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)
    for _ in range(min(workers, len(items))):
        threading.Thread(target=_drain, args=(items, work, stop, waiting, done), daemon=True).start()
    results: dict[int, Result] = {}
    try:
        while len(results) < len(items):
            check()
            try:
                index, result, error = done.get(timeout=CHECK_SECONDS)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            results[index] = result  # type: ignore[assignment]  # None only where `work` returns None
        return [results[index] for index in range(len(items))]
    finally:
        stop.set()


@contextmanager
def turn(free: threading.Semaphore, stop: threading.Event) -> Iterator[None]:
    """Holds one of the places of `free`, as soon as there is one. Raises Stopped where `stop` comes first."""
    while not free.acquire(timeout=CHECK_SECONDS):
        if stop.is_set():
            raise Stopped
    try:
        yield
    finally:
        free.release()


def _drain(
    items: Sequence[Item],
    work: Callable[[Item, threading.Event], Result],
    stop: threading.Event,
    waiting: queue.SimpleQueue[int],
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]],
) -> None:
    while not stop.is_set():
        try:
            index = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((index, work(items[index], stop), None))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread, raised there
            done.put((index, None, error))
