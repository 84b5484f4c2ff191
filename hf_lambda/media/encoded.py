"""Files inside JSON: base64 text, plain or as a data URL, or an object of S3 that the stack allows.

Never another URL, nor a path, that would be fetched.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

WANTED = "a file in base64, or a data URL"
SCHEME = "s3://"


@dataclass
class Budget:
    """Bytes that one request may still take out of S3; None: all that the function's memory allows."""

    left: int | None = None


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def one_request() -> Iterator[None]:
    """All objects of one request together may be as large as one: a list of them is no way around it."""
    token = _budget.set(Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def budget_of_request() -> Budget:
    return _budget.get() or Budget()


def decoded(text: str) -> bytes:
    """The bytes that `text` stands for.

    Raises ValueError that says in a few words what `text` is instead, and what `stored.read` raises.
    """
    if text.startswith(SCHEME):
        from .stored import read  # few requests name an object

        return read(text)
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise ValueError("a data URL without base64")
    elif "://" in text[:32]:
        raise ValueError("a URL, and an endpoint fetches none")
    # The URL-safe alphabet and line breaks are what clients produce beside plain base64.
    plain = "".join(text.split()).translate(_PLAIN)
    try:
        data = binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("text that is not base64") from None
    if not data:
        raise ValueError("an empty file")
    return data


_PLAIN = str.maketrans("-_", "+/")
