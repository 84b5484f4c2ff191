"""Tokens of a running `generate`, handed out as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextvars import copy_context
from queue import SimpleQueue

import torch
from transformers.generation.streamers import BaseStreamer


def tokens_of(generate: Callable[[BaseStreamer], object]) -> Generator[int, None, None]:
    """New tokens of the one text that `generate` makes with the streamer that it is given.

    It runs in a thread. What it raises is raised here; closing the iterator ends it at its next token.
    """
    streamer = _Queue()

    def run() -> None:
        try:
            generate(streamer)
        except _Gone:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            streamer.tokens.put(error)
        else:
            streamer.tokens.put(None)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while True:
            token = streamer.tokens.get()
            if token is None:
                return
            if isinstance(token, BaseException):
                raise token
            yield token
    finally:
        streamer.gone.set()
        thread.join()  # the model is nobody else's before it has let go


class _Gone(Exception):  # noqa: N818 - ends `generate`
    """Nobody waits for the next token."""


class _Queue(BaseStreamer):  # type: ignore[misc]
    def __init__(self) -> None:
        self.tokens: SimpleQueue[int | BaseException | None] = SimpleQueue()
        self.gone = threading.Event()
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self.gone.is_set():
            raise _Gone
        if not self._is_prompt:
            for token in value.flatten().tolist():
                self.tokens.put(token)
        self._is_prompt = False

    def end(self) -> None:
        pass
