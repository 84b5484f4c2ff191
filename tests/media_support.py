"""Pictures and sound for tests, made on the spot: seeded, at odd sizes, in every mode and format."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
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


def assert_same(ours: Any, expected: Any, near: float = 1e-5) -> None:
    """`ours` is JSON that says what `expected` says: pictures and sound in base64, numbers `near`."""
    if isinstance(expected, Image.Image):
        got = np.asarray(Image.open(io.BytesIO(base64.b64decode(ours)))).astype(int)
        assert np.abs(got - np.asarray(expected).astype(int)).max() <= 1
    elif isinstance(expected, dict) or hasattr(expected, "keys"):
        assert ours.keys() == expected.keys()
        for name in expected:
            assert_same(ours[name], expected[name], near)
    elif isinstance(expected, list | tuple):
        assert len(ours) == len(expected)
        for one, other in zip(ours, expected, strict=True):
            assert_same(one, other, near)
    elif isinstance(expected, float):
        assert ours == pytest.approx(expected, abs=near, rel=near)
    elif isinstance(expected, np.ndarray):
        samples, _ = soundfile.read(io.BytesIO(base64.b64decode(ours)))
        assert np.abs(samples - np.clip(expected, -1, 1)).max() < 1e-4
    else:
        assert ours == expected
