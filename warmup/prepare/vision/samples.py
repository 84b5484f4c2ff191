"""What the gate shows a model of images: noise as pictures have it, gradients and shapes, at odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hf_lambda.errors import Unprocessable
from hf_lambda.media.image import Image
from hf_lambda.signature import Mismatch

from ..request import NotPrepared, PrepareRequest

_SIZES = ((240, 320), (320, 213), (224, 224), (97, 301), (331, 129), (480, 360), (256, 384), (160, 160))
_SEED = 20261127


def pictures_of(request: PrepareRequest) -> list[Pillow.Image]:
    """RGB pictures of Pillow's: the user's own (base64 or data URLs), or the built-in ones.

    Raises NotPrepared where a sample of the user's is no picture.
    """
    if request.samples is None:
        return [_picture(index, height, width) for index, (height, width) in enumerate(_SIZES)]
    pictures = []
    for number, sample in enumerate(request.samples, start=1):
        text = sample.get("image") if isinstance(sample, dict) else sample
        try:
            pictures.append(Image.from_json(text).pillow())
        except (Mismatch, Unprocessable) as problem:
            raise NotPrepared(f"gate sample {number} of {request.task} is no image: {problem}") from problem
    return pictures


def _picture(index: int, height: int, width: int) -> Pillow.Image:
    random = np.random.default_rng(_SEED + index)
    values = np.stack([_noise(random, height, width) for _ in range(3)], axis=-1) * 60 + 128
    y, x = np.mgrid[0:height, 0:width]
    slope = np.stack([x / width, y / height, (x + y) / (height + width)], axis=-1)
    values += (slope - 0.5) * random.uniform(-160, 160, 3)
    for _ in range(3):  # shapes with edges
        middle, radius = (
            random.uniform(0.2, 0.8, 2) * (height, width),
            random.uniform(0.08, 0.3) * min(height, width),
        )
        inside = (
            (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2
            if random.random() < 0.5
            else (abs(y - middle[0]) < radius) & (abs(x - middle[1]) < radius / 2)
        )
        values[inside] = random.uniform(0, 255, 3) + values[inside] * 0.2
    return Pillow.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _noise(random: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """(height, width) of deviation 1, as strong at each octave: what photographs have."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    spectrum = np.exp(2j * np.pi * random.random(frequencies.shape)) / np.maximum(
        frequencies, 1 / max(height, width)
    )
    values = np.fft.irfft2(spectrum, (height, width))
    noise: NDArray[Any] = (values - values.mean()) / values.std()
    return noise
