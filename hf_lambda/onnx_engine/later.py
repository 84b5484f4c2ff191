"""Loading several things at once: tokenizer and session both let go of the interpreter's lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Later(Generic[Value]):
    """What `function(*arguments)` returns, computed in a thread of its own that starts at once."""

    def __init__(self, function: Callable[..., Value], *arguments: Any) -> None:
        self._value: list[Value] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def get(self) -> Value:
        """Waits for it; raises what the function raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _run(self, function: Callable[..., Value], arguments: tuple[Any, ...]) -> None:
        try:
            self._value.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error


def load_tokenizer(prepared: Path) -> Any:
    """The `tokenizers.Tokenizer` of a prepared folder; it neither pads nor cuts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
