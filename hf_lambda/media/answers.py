"""Pictures and sound in answers, as JSON can hold them: PNG and WAV in base64."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Json


def png(grey: NDArray[Any]) -> str:
    """base64 of a PNG of (height, width) uint8. Written here: Pillow's writer would be imported for it."""
    height, width = grey.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = grey
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))).decode()


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, body = part
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def wav(samples: NDArray[Any], rate: int) -> str:
    """base64 of a WAV file of float32 samples from -1 to 1, (n,) or (channels, n), with 16 bits each."""
    columns = np.atleast_2d(np.asarray(samples, np.float32)).T
    data = (np.clip(columns, -1, 1) * 32767).round().astype("<i2").tobytes()
    channels = columns.shape[1]
    header = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = (
        b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(data)) + data
    )
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


def depth(predicted: NDArray[Any]) -> dict[str, Json]:
    """depth-estimation's answer from (height, width) float32: a picture, and what its 0 and 255 mean."""
    low, high = predicted.min(), predicted.max()
    scaled = (predicted - low) / (high - low) if high > low else np.zeros_like(predicted)
    return {
        "depth": png((scaled * 255).astype(np.uint8)),
        "min_depth": float(low),
        "max_depth": float(high),
    }
