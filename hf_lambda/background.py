"""A value that is computed in a thread of its own, so that init, or another load, never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

Value = TypeVar("Value")
_NAME = "background"
"""Of every thread that computes one."""


class Future(Generic[Value]):
    """What `compute()` returns: computed once, in a thread since `start`, else when it is first asked for.

    Not concurrent.futures': that one imports `logging`, and knows no second attempt.
    """

    def __init__(self, compute: Callable[[], Value]) -> None:
        self._compute = compute
        self._value: list[Value] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> Self:
        """Begin; returns at once. The thread is a daemon: it never keeps a process alive."""
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
        self._thread.start()
        return self

    def result(self, *, retry: type[BaseException] | tuple[type[BaseException], ...] = ()) -> Value:
        """The value; waits for it. Raises what `compute` raised, and the next call computes again.

        retry: errors of the thread after which this call computes again, since much may have changed.
        """
        with self._lock:
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            error, self._error = self._error, None
            if error is not None and not isinstance(error, retry):
                raise error
            if not self._value:
                self._value.append(self._compute())
            return self._value[0]

    def _run(self) -> None:
        try:
            self._value.append(self._compute())
        except BaseException as error:  # noqa: BLE001 - raised by `result`, in the thread that waits
            self._error = error


def wait_for_all() -> None:
    """Until everything that was started is computed, or has failed."""
    # One that another is just starting is not alive yet: it is found once that other one has ended.
    while running := [each for each in threading.enumerate() if each.name == _NAME and each.is_alive()]:
        for thread in running:
            thread.join()
