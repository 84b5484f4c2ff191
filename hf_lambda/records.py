"""Files of the cache as a cold start reads them: whatever lies in their place, and the records in them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, TypeAlias

Json: TypeAlias = Any
"""What `json.loads` returns, or a library's own mapping of such values: whoever takes it checks it."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "str | None": (str, type(None)),
    "int": int,
    "float": (int, float),
    "Mapping": Mapping,
}


class FlatRecord:
    """Base of dataclasses whose fields hold plain JSON values, or mappings of them.

    Hints are compared as they are written: to resolve them takes time that a cold start does not have.
    """

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Self:
        """Keys that a newer writer added are left out. Raises TypeError where one is missing or wrong."""
        hints = {field.name: str(field.type) for field in fields(cls)}  # type: ignore[arg-type]
        for name, value in document.items():
            if name in hints and not isinstance(value, _TYPES.get(hints[name].partition("[")[0], object)):
                raise TypeError(f"{name} is a {type(value).__name__}, expected {hints[name]}")
        return cls(**{name: value for name, value in document.items() if name in hints})

    def to_json(self) -> dict[str, Json]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


def read_file(path: Path) -> bytes:
    """What the file `path` holds. Raises OSError where it is no plain file; a pipe would block for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        return file.read()
