"""Reads from transformers' feature extractor what it does, and holds our own result to its."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import (
    ASTFeatureExtractor,
    AutoFeatureExtractor,
    FeatureExtractionMixin,
    PreTrainedConfig,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from hf_lambda.onnx_engine.sound.contract import SoundRecipe
from hf_lambda.onnx_engine.sound.features import Features

from ..request import NotPrepared
from .samples import long_sound

_MEAN, _LARGEST = 1e-5, 1e-4
"""Differences of features, relative to the larger of 1 and the largest one. Where a sound is next to silent
its logarithm is rounding: transformers' own ways with torch and without are up to 3e-5 apart there."""
_LONG_S = 1.1
"""Times what a network hears at once."""


def load_extractor(snapshot: Path) -> FeatureExtractionMixin:
    """Raises NotPrepared where there is none, or only libraries prepare the sound that the images lack."""
    try:
        return AutoFeatureExtractor.from_pretrained(snapshot, local_files_only=True, trust_remote_code=False)
    except (ImportError, ValueError, OSError) as problem:
        first = str(problem).partition("\n")[0][:200]
        raise NotPrepared(f"its feature extractor cannot be loaded: {first}") from problem


def recipe_of(
    extractor: FeatureExtractionMixin, config: PreTrainedConfig, sounds: Iterable[NDArray[Any]]
) -> SoundRecipe:
    """The recipe of `extractor`. Raises NotPrepared where some of `sounds` come out otherwise by it."""
    recipe = _read(extractor, config)
    features = Features(recipe)
    for sound in sounds:
        _compare(extractor, features(sound), _theirs(extractor, sound))
    if recipe.kind == "log-mel":
        sound = long_sound(recipe.rate, _LONG_S * recipe.window / recipe.rate)
        wanted = _theirs(extractor, sound, truncation=False, padding="longest")
        _compare(extractor, features(sound, whole=True), wanted)
        _compare(extractor, features(sound), _theirs(extractor, sound))
    return recipe


def _read(extractor: FeatureExtractionMixin, config: PreTrainedConfig) -> SoundRecipe:
    name, rate = type(extractor).__name__, int(extractor.sampling_rate)
    if type(extractor) is WhisperFeatureExtractor:
        if extractor.dither:
            raise NotPrepared(f"{name} adds noise to the sound (dither), which nobody could compare")
        return SoundRecipe(
            kind="log-mel",
            rate=rate,
            mels=int(extractor.feature_size),
            fft=int(extractor.n_fft),
            hop=int(extractor.hop_length),
            window=int(extractor.n_samples),
        )
    if type(extractor) is ASTFeatureExtractor:
        return SoundRecipe(
            kind="fbank",
            rate=rate,
            least=240,  # with fewer transformers fails, up to a window of 400 nothing is heard
            normalize=bool(extractor.do_normalize),
            mean=float(extractor.mean),
            std=float(extractor.std),
            mels=int(extractor.num_mel_bins),
            fft=400,
            hop=160,
            frames=int(extractor.max_length),
        )
    if type(extractor) is Wav2Vec2FeatureExtractor and extractor.feature_size == 1:
        kernels, strides = config.conv_kernel, config.conv_stride
        return SoundRecipe(
            kind="wave",
            rate=rate,
            least=_field(kernels, strides),
            normalize=bool(extractor.do_normalize),
            hop=math.prod(strides),
        )
    raise NotPrepared(f"{name} prepares sound in a way that is not built here")


def _field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that convolutions, one behind the other, need for one output."""
    needed = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        needed = (needed - 1) * stride + kernel
    return needed


def _theirs(extractor: FeatureExtractionMixin, sound: NDArray[Any], **options: object) -> NDArray[Any]:
    made = extractor(sound, sampling_rate=extractor.sampling_rate, return_tensors="np", **options)
    features: NDArray[Any] = made[extractor.model_input_names[0]][0]
    return features


def _compare(extractor: FeatureExtractionMixin, got: NDArray[Any], wanted: NDArray[Any]) -> None:
    name = type(extractor).__name__
    if got.shape != wanted.shape:
        raise NotPrepared(f"{name} makes features of the shape {wanted.shape}, this library of {got.shape}")
    apart = np.abs(got - wanted) / max(1.0, float(np.abs(wanted).max()))
    if not (apart.mean() <= _MEAN and apart.max() <= _LARGEST):
        raise NotPrepared(
            f"{name} makes other features of a sound than this library ({apart.max():.1g} apart)"
        )
