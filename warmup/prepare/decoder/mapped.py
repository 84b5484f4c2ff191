"""Safetensors files, mapped: nothing is read before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ..request import NotPrepared

_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}

Place: TypeAlias = tuple[NDArray[np.uint8], str, list[int], list[int]]
"""Bytes of a file, and of one tensor in them: type, shape, first and last byte."""


def mapped(file: Path) -> dict[str, Place]:
    """Every tensor of `file` by its name there."""
    data = np.memmap(file, np.uint8, "r")
    size = int(data[:8].view(np.uint64)[0])
    header, body = json.loads(bytes(data[8 : 8 + size])), data[8 + size :]
    return {
        name: (body, entry["dtype"], entry["shape"], entry["data_offsets"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def array_of(name: str, place: Place) -> NDArray[Any]:
    """A numpy array over the file. Raises NotPrepared for a type that graphs are not written from."""
    body, dtype, shape, (start, end) = place
    if dtype not in _DTYPES:
        known = ", ".join(_DTYPES)
        raise NotPrepared(f"the tensor {name!r} is stored as {dtype}; the graph is written from {known}")
    array: NDArray[Any] = body[start:end].view(_DTYPES[dtype]).reshape(shape)
    return array
