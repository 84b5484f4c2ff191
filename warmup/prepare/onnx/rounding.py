"""Rounding matrices to 8-bit integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .weights import parts


def levels(machine: str) -> int:
    """Largest absolute value of a quantised matrix: 64 on x86 (`reduce_range`), 127 elsewhere."""
    return 64 if machine in ("x86_64", "AMD64", "i686") else 127


def quantized(matrix: Any, axis: int, largest: int) -> tuple[Any, Any]:
    """int8 values of `matrix`, symmetric, and one scale per index of the axis that is not reduced.

    axis: the one to reduce (0: a scale per column, 1: a scale per row).
    """
    found = [np.abs(matrix[rows]).max(axis=axis, keepdims=True) for rows in parts(matrix)]
    peaks = np.concatenate(found) if axis else np.max(found, axis=0)
    scale = np.where(peaks > 0, peaks / largest, 1.0).astype(np.float32)
    values = np.empty(matrix.shape, np.int8)
    for rows in parts(matrix):
        exact = matrix[rows] / (scale[rows] if axis else scale)
        values[rows] = np.clip(np.rint(exact, out=exact), -largest, largest)
    return values, scale.squeeze(axis)
