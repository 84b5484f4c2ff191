"""Pictures and sound for tests, made on the spot: seeded, at odd sizes, in every mode and format."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile
from PIL import Image


def picture(height: int = 37, width: int = 53, seed: int = 0) -> Image.Image:
    """Soft colours with noise on them: neither flat nor pure noise, which filters would hide behind."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (max(2, height // 8), max(2, width // 8), 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = soft + random.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tones(seconds: float = 1.0, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Any:
    """(n,) or (n, channels) float32: a chirp with overtones, and a little noise."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * part * (200 + 60 * time) * time) / part for part in (1, 2, 3)) / 4
    columns = [wave + 0.01 * random.standard_normal(len(time)) + 0.05 * each for each in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32) if channels > 1 else columns[0].astype(np.float32)


def sound(wave: Any, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
