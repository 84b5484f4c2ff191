"""A picture and a sound to ask an endpoint with: drawn here, by the standard library alone."""

from __future__ import annotations

import base64
import functools
import struct
import zlib

from .voice import RATE, spoken

_SIDE = 64


@functools.cache
def picture() -> str:
    """base64 of a PNG: a red disc on white."""
    middle, radius = (_SIDE - 1) / 2, _SIDE * 0.36
    rows = b""
    for y in range(_SIDE):
        inside = [(x - middle) ** 2 + (y - middle) ** 2 <= radius**2 for x in range(_SIDE)]
        rows += b"\0" + b"".join(b"\xd0\x20\x20" if each else b"\xff\xff\xff" for each in inside)
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return _text(b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks)))


@functools.cache
def sound() -> str:
    """base64 of a WAV file: a voice of tones spells "HELLO WORLD"."""
    samples = [round(32_000 * sample) for sample in spoken("HELLO WORLD")]
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return _text(b"RIFF" + struct.pack("<I", len(body)) + body)


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, body = part
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
