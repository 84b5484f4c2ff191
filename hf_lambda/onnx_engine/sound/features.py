"""Features of sound in numpy, as transformers' feature extractors make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import Unprocessable
from .contract import SoundRecipe

_FBANK_FFT = 512
_PREEMPHASIS = 0.97
_FBANK_LEAST = 1.192092955078125e-07  # of an energy, before its logarithm
_LOWEST_HZ = 20.0
_TOP_HZ = 8000.0
_BLOCK = 3000
"""Columns of a spectrogram at once: each is hundreds of samples while it is made."""


class Features:
    """Makes the input of one sound for a network, without the batch's axis."""

    def __init__(self, recipe: SoundRecipe) -> None:
        self.recipe = recipe
        if recipe.kind == "log-mel":
            self._filters = slaney_filters(recipe)
            self._window = _hanning(recipe.fft + 1)[:-1].astype(np.float32)
        elif recipe.kind == "fbank":
            self._filters = kaldi_filters(recipe)
            self._window = _hanning(recipe.fft)

    def __call__(self, wave: NDArray[Any], *, whole: bool = False) -> NDArray[Any]:
        """Samples (n,) at the recipe's rate -> (n,); (mels, columns) of "log-mel"; (columns, mels). float32.

        whole: "log-mel" of all samples, where more were given than the network hears at once.
        Raises Unprocessable where there are too few of them.
        """
        wave = np.asarray(wave, np.float32)
        recipe = self.recipe
        if len(wave) < recipe.least:
            seconds = recipe.least / recipe.rate
            raise Unprocessable(
                None,
                f"the sound is {len(wave) / recipe.rate:.3f} s long, the model needs {seconds:.3f} s: "
                "send a longer one",
            )
        if recipe.kind == "wave":
            normal = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7) if recipe.normalize else wave
            return np.asarray(normal, np.float32)
        if recipe.kind == "fbank":
            return self._fbank(wave)
        if not whole:
            wave = wave[: recipe.window]
        return self._log_mel(np.pad(wave, (0, max(0, recipe.window - len(wave)))))

    def _log_mel(self, wave: NDArray[Any]) -> NDArray[Any]:
        recipe = self.recipe
        padded = np.pad(wave, recipe.fft // 2, mode="reflect")
        columns = frames(padded, recipe.fft, recipe.hop)[:-1]
        logs = np.empty((len(columns), recipe.mels), np.float32)
        for part in _blocks(len(columns)):
            energies = power(columns[part] * self._window, recipe.fft) @ self._filters
            logs[part] = np.log10(np.maximum(energies, np.float32(1e-10)))
        logs = np.maximum(logs, logs.max() - 8.0)
        return np.ascontiguousarray(((logs + 4.0) / 4.0).T, np.float32)

    def _fbank(self, wave: NDArray[Any]) -> NDArray[Any]:
        recipe = self.recipe
        columns = frames(wave.astype(np.float64), recipe.fft, recipe.hop)[: recipe.frames]
        columns = columns - columns.mean(axis=1, keepdims=True)
        raised = np.empty_like(columns)
        raised[:, 1:] = columns[:, 1:] - _PREEMPHASIS * columns[:, :-1]
        raised[:, 0] = columns[:, 0] * (1 - _PREEMPHASIS)
        energies = power(raised * self._window, _FBANK_FFT) @ self._filters
        logs = np.log(np.maximum(energies, _FBANK_LEAST)).astype(np.float32)
        logs = np.pad(logs, ((0, recipe.frames - len(logs)), (0, 0)))
        if recipe.normalize:
            logs = (logs - recipe.mean) / (recipe.std * 2)
        return np.asarray(logs, np.float32)


def frames(wave: NDArray[Any], size: int, hop: int) -> NDArray[Any]:
    """Views of `size` samples each, `hop` apart; only whole ones."""
    if len(wave) < size:
        return np.empty((0, size), wave.dtype)
    return np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]


def power(columns: NDArray[Any], fft: int) -> NDArray[Any]:
    spectrum = np.fft.rfft(columns, fft, axis=-1)
    return spectrum.real**2 + spectrum.imag**2


def slaney_filters(recipe: SoundRecipe) -> NDArray[Any]:
    """(frequencies, mels) float32: triangles between steps of Slaney's scale, each of the same area."""
    edges = np.linspace(_slaney(0.0), _slaney(_TOP_HZ), recipe.mels + 2)
    linear = 200.0 * edges / 3.0
    hertz = np.where(edges >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (edges - 15.0)), linear)
    places = np.linspace(0, recipe.rate // 2, recipe.fft // 2 + 1)
    return np.asarray(_triangles(hertz, places) * (2.0 / (hertz[2:] - hertz[:-2])), np.float32)


def kaldi_filters(recipe: SoundRecipe) -> NDArray[Any]:
    """(frequencies, mels): triangles that are even on the mel scale itself."""
    edges = np.linspace(_kaldi(_LOWEST_HZ), _kaldi(recipe.rate // 2), recipe.mels + 2)
    bins = _FBANK_FFT // 2 + 1
    return _triangles(edges, _kaldi(recipe.rate / ((bins - 1) * 2) * np.arange(bins)))


def _triangles(edges: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    width = np.diff(edges)
    slopes = edges[None] - places[:, None]
    triangles: NDArray[Any] = np.maximum(
        0, np.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:])
    )
    return triangles


def _hanning(size: int) -> NDArray[Any]:
    return np.hanning(size)


def _slaney(hertz: float) -> float:
    logarithmic = 15.0 + np.log(max(hertz, 1e-9) / 1000.0) * 27.0 / np.log(6.4)
    return float(logarithmic) if hertz >= 1000.0 else 3.0 * hertz / 200.0


def _kaldi(hertz: NDArray[Any] | float) -> NDArray[Any]:
    return 1127.0 * np.log(1.0 + np.asarray(hertz, float) / 700.0)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))
