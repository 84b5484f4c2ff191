"""Loads something once, in the background if asked, so that Lambda's init never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import ServingError

Loaded = TypeVar("Loaded")

_ONE_AT_A_TIME = threading.Lock()
"""Two loads side by side share disk and processors, and the first answer would wait for both."""


class Background(Generic[Loaded]):
    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._loaded: Loaded | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to load; returns at once. A daemon: a load under way never keeps a process alive."""
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def get(self) -> Loaded:
        """What was loaded; waits for it. Raises what loading raised, and the next call tries again."""
        with self._lock:
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            error, self._error = self._error, None
            # A cache that was cold at init may be warm by now, and to look costs next to nothing.
            if error is not None and not isinstance(error, ServingError):
                raise error
            if self._loaded is None:
                with _ONE_AT_A_TIME:
                    self._loaded = self._load()
            return self._loaded

    def _run(self) -> None:
        try:
            with _ONE_AT_A_TIME:
                self._loaded = self._load()
        except BaseException as error:  # noqa: BLE001 - kept for `get`, which raises it in the caller's thread
            self._error = error
