"""Changing a sample rate as ffmpeg does by default: transformers' pipelines hear through it."""

from __future__ import annotations

from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH, _CUTOFF, _KAISER = 32, 0.97, 9.0
"""libswresample's defaults: taps at the lower rate, passband, beta of the Kaiser window."""


def resampled(wave: NDArray[Any], rate: int, wanted: int) -> NDArray[Any]:
    """(n,) float32 at `rate` Hz -> at `wanted` Hz.

    A windowed sinc with one filter per phase, each summing to one; the ends are mirrored.
    """
    if rate == wanted:
        return wave
    divisor = gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    factor = min(wanted * _CUTOFF / rate, 1.0)
    taps = max(ceil(_WIDTH / factor), 1)
    taps += taps % 2
    count = ceil(len(wave) * up / down)
    # Mirrored at both ends: about the first sample, but after the last one.
    padded = np.concatenate([_repeated(wave[1:], taps)[::-1], wave, _repeated(wave[::-1], taps + 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    offset = taps - (taps - 1) // 2
    if up > _PHASES:
        return _between_phases(windows, count, (up, down), taps, factor, offset)
    result = np.empty(count, np.float32)
    inverse = pow(down, -1, up) if up > 1 else 0
    for phase in range(min(up, count)):
        first = phase * inverse % up  # the first output that falls on this phase
        places = np.arange(first, count, up)
        starts = places * down // up + offset
        kernel = _filter(phase / up, taps, factor)
        for part in range(0, len(places), _PART):
            chosen = slice(part, part + _PART)
            result[places[chosen]] = windows[starts[chosen]] @ kernel
    return result


_PART = 8192
"""Outputs at once: each gathers its own copy of the taps."""
_PHASES = 1024
"""Rates with more phases than these (22,051 Hz has 16,000) take what lies between two filters."""


def _between_phases(
    windows: NDArray[Any], count: int, ratio: tuple[int, int], taps: int, factor: float, offset: int
) -> NDArray[Any]:
    up, down = ratio
    bank = np.stack([_filter(step / _PHASES, taps, factor) for step in range(_PHASES + 1)])
    result = np.empty(count, np.float32)
    for part in range(0, count, _PART):
        places = np.arange(part, min(part + _PART, count))
        steps = (places * down % up) * (_PHASES / up)
        below = steps.astype(int)
        share = (steps - below).astype(np.float32)[:, None]
        kernels = bank[below] * (1 - share) + bank[below + 1] * share
        result[places] = np.einsum("nt,nt->n", windows[places * down // up + offset], kernels)
    return result


def _repeated(wave: NDArray[Any], count: int) -> NDArray[Any]:
    """The first `count` of `wave`; a shorter one goes on with its last, an empty one with silence."""
    missing = max(0, count - len(wave))
    return np.pad(wave[:count], (0, missing), mode="edge" if len(wave) else "constant")


def _filter(phase: float, taps: int, factor: float) -> NDArray[Any]:
    places = np.pi * (np.arange(taps) - (taps - 1) // 2 - phase) * factor
    window = 2.0 * places / (factor * taps * np.pi)
    values = np.sinc(places / np.pi) * np.i0(_KAISER * np.sqrt(np.maximum(1 - window * window, 0)))
    weights: NDArray[Any] = (values / values.sum()).astype(np.float32)
    return weights
