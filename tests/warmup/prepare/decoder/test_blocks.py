"""Rounding in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from warmup.prepare.decoder.blocks import fitting_block, restored, rounded


def _rows(seed=0):
    random = np.random.default_rng(seed)
    rows: np.ndarray = random.standard_normal((50, 96)) * random.uniform(0.01, 10, (50, 1))
    return rows.astype(np.float32)


def _loss(rows, bits):
    return np.abs(restored(*rounded(rows, bits), bits) - rows)


@pytest.mark.parametrize("block", [16, 32, 96])
def test_8_bits_are_off_by_half_a_step_of_the_blocks_largest_value(block):
    rows = _rows()
    values, scales = rounded(rows, 8, block)
    assert (values.shape, scales.shape) == ((50, 96 // block, block), (50, 96 // block))
    largest = np.abs(rows.reshape(50, -1, block)).max(-1).repeat(block, axis=-1)
    loss = np.abs(restored(values, scales, 8) - rows)
    assert (loss <= largest / 127 / 2 * 1.001).all()
    assert loss.max() > largest.max() / 127 / 4


@pytest.mark.parametrize(
    ("columns", "widest", "block"),
    [(896, 128, 128), (576, 128, 64), (96, 128, 32), (896, 32, 32), (48, 32, 16), (7, 128, 1)],
)
def test_rows_that_the_widest_block_does_not_divide_have_smaller_ones(columns, widest, block):
    assert fitting_block(columns, widest) == block


def test_4_bits_lose_less_with_the_search_than_with_the_first_guess():
    rows = _rows()
    blocks = rows.reshape(50, 3, 32)
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
    scales = farthest / -8
    plain = np.clip(np.rint(blocks / scales[..., None]), -8, 7) * scales[..., None]
    searched = np.square(_loss(rows, 4)).sum()
    assert searched < 0.95 * np.square(plain - blocks).sum()


@pytest.mark.parametrize("bits", [4, 8])
def test_a_block_of_zeros_stays_zero(bits):
    rows = _rows()
    rows[3, 32:64] = 0
    assert (restored(*rounded(rows, bits), bits)[3, 32:64] == 0).all()


def test_two_values_share_a_byte_the_first_one_below():
    rows = np.zeros((1, 32), np.float32)
    rows[0, :2] = (-8, 4)
    values, scales = rounded(rows, 4)
    assert values.shape == (1, 1, 16)
    low, high = int(values[0, 0, 0]) & 15, int(values[0, 0, 0]) >> 4
    assert ((low - 8) * scales[0, 0], (high - 8) * scales[0, 0]) == pytest.approx((-8, 4), rel=0.2)
