"""Rounding matrices to 8-bit integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .weights import blocks


def levels(machine: str) -> int:
    """Largest absolute value of a quantised matrix: 64 on x86 (`reduce_range`), 127 elsewhere."""
    return 64 if machine in ("x86_64", "AMD64", "i686") else 127


def quantized(matrix: Any, axis: int, largest: int) -> tuple[Any, Any]:
    """int8 values of `matrix`, symmetric, and one scale per index of the axis that is not reduced.

    axis: the one to reduce (0: a scale per column, 1: a scale per row).
    """
    parts = [np.abs(block).max(axis=axis, keepdims=True) for block in blocks(matrix)]
    peaks = np.concatenate(parts) if axis else np.max(parts, axis=0)
    scale = np.where(peaks > 0, peaks / largest, 1.0).astype(np.float32)
    values = np.empty(matrix.shape, np.int8)
    start = 0
    for block in blocks(matrix):
        rows = slice(start, start + len(block))
        exact = block / (scale[rows] if axis else scale)
        values[rows] = np.clip(np.rint(exact, out=exact), -largest, largest)
        start = rows.stop
    return values, scale.squeeze(axis)
