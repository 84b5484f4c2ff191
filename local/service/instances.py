"""Instances of a function, and the pool that scales them as Lambda does: one request each at a time."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from local.program.functions import Function

DEFAULT_MAX_INSTANCES = 10  # what new AWS accounts get


@dataclass(frozen=True)
class InvocationResult:
    """The outcome of one invocation."""

    payload: bytes
    error: bool
    """The function failed; `payload` is then Lambda's error object as JSON."""
    log: str
    """What was logged meanwhile, with the START, END and REPORT lines."""
    request_id: str


class Instance(Protocol):
    """One started copy of a function, serving one request at a time."""

    def invoke(self, payload: bytes, client_context: str | None = None) -> InvocationResult:
        """Answer a request; whatever goes wrong in the function is a result with `error`."""

    @property
    def usable(self) -> bool:
        """False once it crashed, timed out or was stopped."""

    def stop(self) -> None:
        """End every process of the instance; returns when they are gone. Safe to repeat."""


class Runtime(Protocol):
    """Starts instances: emulator processes, or containers."""

    def start(self, function: Function) -> Instance:
        """A new instance, ready for its first request. Raises InstanceError if it cannot be started."""


class InstanceError(Exception):
    """An instance did not start; the message says why."""


class Throttled(Exception):  # noqa: N818 (what Lambda calls it)
    """As many instances as allowed are busy."""


class Pool:
    """The instances of one function."""

    def __init__(self, function: Function, start: Callable[[Function], Instance]) -> None:
        self.function = function
        self._start = start
        self._idle: list[tuple[float, Instance]] = []
        self._busy: dict[Instance, Function] = {}
        """With the configuration that each was started with; that of idle ones is the present one."""
        self._starting = 0
        self._changed = threading.Condition()
        self._closed = self._draining = False

    @property
    def limit(self) -> int:
        reserved = self.function.max_instances
        return DEFAULT_MAX_INSTANCES if reserved is None else reserved

    def invoke(
        self, payload: bytes, client_context: str | None = None, *, wait: bool = False
    ) -> InvocationResult:
        """Answer with an idle instance, else a new one. With `wait`, queue while all are busy.

        Raises Throttled, without `wait`, and InstanceError.
        """
        with self.lease(wait=wait) as instance:
            return instance.invoke(payload, client_context)

    @contextlib.contextmanager
    def lease(self, *, wait: bool = False) -> Iterator[Instance]:
        """An instance for one request. Raises as `invoke` does."""
        instance = self._take(wait)
        try:
            yield instance
        finally:
            self._give_back(instance)

    def retire(self, idle_s: float) -> int:
        """Stop the instances that nobody has used for `idle_s`; returns how many these were."""
        before = time.monotonic() - idle_s
        with self._changed:
            old = [instance for since, instance in self._idle if since <= before]
            self._idle = [(since, instance) for since, instance in self._idle if since > before]
        for instance in old:
            instance.stop()
        return len(old)

    def replace(self, function: Function) -> None:
        """Serve with another configuration from the next request on: no instance of this one gets another."""
        with self._changed:
            self.function = function
            old, self._idle = self._idle, []
        for _, instance in old:
            instance.stop()

    def close(self) -> None:
        """Stop everything, also what is busy."""
        with self._changed:
            self._closed = True
            instances = [*self._busy, *(instance for _, instance in self._idle)]
            self._idle = []
            self._changed.notify_all()
        for instance in instances:
            instance.stop()

    def drain(self) -> None:
        """Stop what is idle now, and what is busy once it is free: nobody asks this pool any more."""
        with self._changed:
            self._draining = True
        self.retire(0)

    def _take(self, wait: bool) -> Instance:
        with self._changed:
            while True:
                if self._closed or not self.limit:
                    raise Throttled(self.function.name)
                if reusable := self._pop_idle():
                    self._busy[reusable] = self.function
                    return reusable
                if len(self._busy) + self._starting < self.limit:
                    self._starting += 1
                    function = self.function
                    break
                if not wait:
                    raise Throttled(self.function.name)
                self._changed.wait()
        try:
            instance = self._start(function)
        except BaseException:
            with self._changed:
                self._starting -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._starting -= 1
            self._busy[instance] = function
            closed = self._closed
        if closed:  # while it started
            instance.stop()
        return instance

    def _pop_idle(self) -> Instance | None:
        while self._idle:
            _, instance = self._idle.pop()  # the one used last: its memory is warmest
            if instance.usable:
                return instance
            instance.stop()
        return None

    def _give_back(self, instance: Instance) -> None:
        with self._changed:
            is_current = self._busy.pop(instance) is self.function
            kept = is_current and instance.usable and not self._closed and not self._draining
            if kept:
                self._idle.append((time.monotonic(), instance))
            self._changed.notify()
        if not kept:
            instance.stop()
