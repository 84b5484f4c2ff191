"""Rounding matrices in blocks, as onnxruntime's MatMulNBits and GatherBlockQuantized read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Fewest weights of a row that share a scale."""
_PIECE_BYTES = 1 << 24
_STEPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 1.05, -1.0, -0.95, -0.9, -0.85, -0.8)
"""Of the first guess of a 4-bit scale; a negative one lets the other sign have the value without a twin."""


def pieces(matrix: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows of `matrix` in fp32, about 16 MB at a time."""
    rows = max(1, _PIECE_BYTES // (4 * matrix.shape[1]))
    for start in range(0, len(matrix), rows):
        yield np.asarray(matrix[start : start + rows], np.float32)


def fitting_block(columns: int, widest: int) -> int:
    """The largest of `widest`, its half and so on that divides rows of `columns` weights.

    MatMulNBits would take rows whose last block is filled up; GatherBlockQuantized, which reads the same
    bytes where the head is the table of embeddings, would not.
    """
    block = widest
    while columns % block:
        block //= 2
    return block


def rounded(rows: NDArray[Any], bits: int, block: int = BLOCK) -> tuple[NDArray[Any], NDArray[Any]]:
    """(n, k) in fp32 -> values (n, k / block, block * bits / 8) in uint8, scales (n, k / block) in fp32.

    block divides k. A value v stands for (v - 2 ** (bits - 1)) * scale; two 4-bit values share a byte, the
    first one in its lower half.
    """
    blocks = rows.reshape(len(rows), -1, block)
    if bits == 8:
        scales = np.abs(blocks).max(-1) / np.float32(127)
        return (_divided(blocks, scales) + 128).astype(np.uint8), scales
    scales = _searched(blocks)
    values = (np.clip(_divided(blocks, scales), -8, 7) + 8).astype(np.uint8)
    return values[..., 0::2] | values[..., 1::2] << 4, scales


def restored(values: NDArray[Any], scales: NDArray[Any], bits: int) -> NDArray[Any]:
    """What `rounded` stands for, (n, k) in fp32."""
    if bits == 4:
        halves = np.stack([values & 15, values >> 4], axis=-1)
        values = halves.reshape(*values.shape[:-1], -1)
    centred = values.astype(np.float32) - np.float32(2 ** (bits - 1))
    whole: NDArray[Any] = (centred * scales[..., None]).reshape(len(values), -1)
    return whole


def _searched(blocks: NDArray[Any]) -> NDArray[Any]:
    """Per block the 4-bit scale, of a few, that loses least of it in squares."""
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
    first = farthest / np.float32(-8)
    best, least = first, np.full(first.shape, np.inf, np.float32)
    for step in _STEPS:
        scales = first * np.float32(step)
        values = np.clip(_divided(blocks, scales), -8, 7)
        loss = np.square(values * scales[..., None] - blocks).sum(-1)
        best = np.where(loss < least, scales, best)
        least = np.minimum(least, loss)
    return best


def _divided(blocks: NDArray[Any], scales: NDArray[Any]) -> NDArray[Any]:
    return np.rint(blocks / np.where(scales == 0, np.float32(1), scales)[..., None])
