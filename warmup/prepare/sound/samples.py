"""What the gate plays to a model of sound: voices of formants, chirps, noise and silence, at odd rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.errors import Unprocessable
from hf_lambda.media.audio import Audio
from hf_lambda.media.resampling import resampled
from hf_lambda.signature import Mismatch

from ..request import NotPrepared, PrepareRequest

_SEED = 20261127
_KINDS = (
    ("voice", 16_000, 2.0),
    ("voice", 22_050, 3.1),
    ("voice", 8_000, 1.3),
    ("chirp", 44_100, 0.9),
    ("noise", 16_000, 1.6),
    ("voice", 48_000, 4.0),
    ("silence", 16_000, 1.0),
    ("voice", 16_000, 0.5),
)
_FORMANTS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""Hertz, of five vowels of a man's voice."""


def sounds_of(request: PrepareRequest, rate: int) -> list[NDArray[Any]]:
    """Samples (n,) at `rate` Hz: the user's own (base64 or data URLs), or the built-in ones.

    Raises NotPrepared where a sample of the user's is no sound.
    """
    if request.samples is None:
        return [
            resampled(_sound(np.random.default_rng(_SEED + number), kind, own, seconds), own, rate)
            for number, (kind, own, seconds) in enumerate(_KINDS)
        ]
    sounds = []
    for number, sample in enumerate(request.samples, start=1):
        text = sample.get("audio") if isinstance(sample, dict) else sample
        try:
            sounds.append(Audio.from_json(text).samples(rate))
        except (Mismatch, Unprocessable) as problem:
            raise NotPrepared(f"gate sample {number} of {request.task} is no sound: {problem}") from problem
    return sounds


def long_sound(rate: int, seconds: float) -> NDArray[Any]:
    """A voice that goes on for `seconds`."""
    return _sound(np.random.default_rng(_SEED - 1), "voice", rate, seconds)


def _sound(random: np.random.Generator, kind: str, rate: int, seconds: float) -> NDArray[Any]:
    count = int(rate * seconds)
    time = np.arange(count) / rate
    if kind == "silence":
        wave = 1e-4 * random.standard_normal(count)
    elif kind == "noise":
        wave = 0.1 * random.standard_normal(count)
    elif kind == "chirp":
        wave = 0.4 * np.sin(2 * np.pi * (200 * time + 0.5 * (3000 - 200) / seconds * time**2))
    else:
        wave = _voice(random, time, rate)
    return np.asarray(wave, np.float32)


def _voice(random: np.random.Generator, time: NDArray[Any], rate: int) -> NDArray[Any]:
    """Vowels of a quarter of a second, each harmonics of a pitch that falls, louder near the formants."""
    wave = np.zeros(len(time))
    length = rate // 4
    for start in range(0, len(time), length):
        part = time[start : start + length]
        if random.random() < 0.2:
            continue
        pitch, formants = random.uniform(90, 220), _FORMANTS[random.integers(len(_FORMANTS))]
        phase = 2 * np.pi * pitch * (part - 0.1 * part**2)
        for harmonic in range(1, int(min(3500, rate / 2) / pitch)):
            hertz = harmonic * pitch
            loudness = sum(1 / (1 + ((hertz - formant) / 90) ** 2) for formant in formants)
            wave[start : start + length] += loudness * np.sin(harmonic * phase)
        wave[start : start + length] *= np.hanning(len(part)) ** 0.5
    peak = float(np.abs(wave).max())
    return 0.5 * wave / peak + 1e-3 * random.standard_normal(len(time)) if peak else wave
