"""Pictures and sound that nobody means well, and what tasks of files are asked for with them."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from hf_lambda.media.inputs import KINDS
from tests import tiny_media

MODELS: Mapping[str, tuple[str, str]] = {
    "image-classification": ("vit", "ForImageClassification"),
    "image-feature-extraction": ("vit", ""),
    "image-segmentation": ("segformer", "ForSemanticSegmentation"),
    "object-detection": ("yolos", "ForObjectDetection"),
    "depth-estimation": ("glpn", "ForDepthEstimation"),
    "zero-shot-image-classification": ("clip", ""),
    "zero-shot-object-detection": ("owlvit", "ForZeroShotObjectDetection"),
    "keypoint-matching": ("superglue", "ForKeypointMatching"),
    "document-question-answering": ("layoutlm", "ForDocumentQuestionAnswering"),
    "image-text-to-text": ("llava", "ForImageTextToText"),
    "audio-classification": ("ast", "ForAudioClassification"),
    "automatic-speech-recognition": ("wav2vec2", "ForCTC"),
    "zero-shot-audio-classification": ("clap", ""),
    "text-to-audio": ("vits", "ForTextToWaveform"),
    "decision": ("llama", "ForCausalLM"),
}
"""Family and head of a tiny model for each task that takes files, or is one of torch's alone."""
PREPARED = (*tiny_media.IMAGE_HEADS, "audio-classification", "automatic-speech-recognition")


def snapshot(task: str, folder: Path) -> Path:
    family, head = MODELS[task]
    changes = {"id2label": {0: "start", 1: "end"}} if family == "layoutlm" else {}
    made = tiny_media.build(family, folder, head, **changes)
    if task == "decision":
        (made / "decision.json").write_text("{}")
    return made


def inputs(task: str, draw: random.Random, marker: str) -> Any:
    """One input of `task`, with files that are off more often than not."""
    kind = KINDS.get(task)
    if kind == "image":
        return text_of(picture(draw), draw)
    if kind == "audio":
        if draw.random() < 0.15:
            samples: Any = draw.choice(
                ([], [0.0], [0.1] * 900, ["x"], 5, None, [[0.1, 0.2]] * 400, [1e400] * 9)
            )
            rate: Any = draw.choice((16_000, 8_000, 0, -1, 1, 10**9, "x", None, 1e400))
            return {"raw": samples, "sampling_rate": rate}
        return text_of(sound(draw), draw)
    if kind == "pair of images":
        pair = [text_of(picture(draw), draw) for _ in range(draw.choice((2, 2, 2, 1, 3)))]
        return {"images": pair} if draw.random() < 0.3 else pair
    if kind == "document":
        boxes = draw.choice(
            (
                [["cat", [0, 0, 10, 10]], [marker, [20, 20, 30, 30]]],
                *([], None, [["cat", [0, 0, 10, 10**9]]], [["cat", [9, 9, -1, "x"]]], [["", [5, 5, 1, 1]]]),
            )
        )
        return {"image": text_of(picture(draw), draw), "question": f"who {marker}", "word_boxes": boxes}
    if kind == "images and text":
        pictures = [text_of(picture(draw), draw) for _ in range(draw.choice((1, 1, 1, 0, 2)))]
        text = draw.choice(("<image> a cat", f"{marker} <image>", "no picture", "<image>" * 40, ""))
        return {"images": pictures, "text": text}
    if kind == "state and questions":
        criteria: Any = draw.choice(({"cat": "a cat", "dog": marker}, {}, {"cat": 5}, [], {"a": ""}))
        question = {"type": draw.choice(("choice", "choice", "x", 5)), "instructions": "pet"}
        return {"state": f"{marker} sat", "questions": {"pet": {**question, "criteria": criteria}}}
    return draw.choice((f"a cat {marker}", "", "日本語", "a " * 90, "\ud83d"))


def media_type(task: str, draw: random.Random) -> str:
    return draw.choice(
        ("image/png", "image/jpeg") if KINDS.get(task) == "image" else ("audio/wav", "audio/flac")
    )


def text_of(data: bytes, draw: random.Random) -> str:
    """As JSON has it: base64, plain or as a data URL, or what is nearly that."""
    text = base64.b64encode(data).decode()
    return draw.choice(
        (
            *(text,) * 8,
            f"data:image/png;base64,{text}",
            f"data:;base64,{text}",
            *(text[:-1], f"{text}=", "data:image/png,x", "https://example.org/a.png", "/etc/passwd", ""),
        )
    )


def picture(draw: random.Random) -> bytes:
    mode = draw.choice(("RGB", "RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "I", "F"))
    size = draw.choice(((40, 30), (64, 64), (1, 1), (1, 900), (900, 1), (3, 2), (300, 200)))
    kind = draw.choice(("PNG", "PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO"))
    buffer = io.BytesIO()
    noise = Image.fromarray(
        np.random.default_rng(draw.randrange(99)).integers(0, 255, (size[1], size[0]), "uint8")
    )
    try:
        noise.convert(mode if mode != "I;16" else "I").save(buffer, kind)
    except (OSError, ValueError):  # a mode that the format has not
        noise.save(buffer, "PNG")
    return _spoilt(buffer.getvalue(), draw, _bomb)


def sound(draw: random.Random) -> bytes:
    rate = draw.choice((16_000, 16_000, 8_000, 44_100, 1_000, 384_000, 1))
    channels, length = draw.choice((1, 1, 2, 8)), draw.choice((0, 1, 2, 100, 8_000, 9_600))
    kind, subtype = draw.choice(
        (
            ("WAV", "PCM_16"),
            ("WAV", "FLOAT"),
            ("WAV", "PCM_U8"),
            ("FLAC", "PCM_16"),
            ("OGG", "VORBIS"),
            ("AIFF", "PCM_16"),
        )
    )
    if kind == "OGG":  # libsndfile's encoder ends the process where a rate or a length does not suit it
        rate, length = 16_000, max(length, 100)
    wave = np.random.default_rng(draw.randrange(99)).normal(0, 0.1, (length, channels)).astype("float32")
    if subtype == "FLOAT" and length and draw.random() < 0.5:
        wave[0] = draw.choice((float("nan"), float("inf"), 1e38))
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError):  # a rate or a length that the format has not
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, 16_000, format="WAV", subtype="PCM_16")
    return _spoilt(buffer.getvalue(), draw, _endless)


def _spoilt(data: bytes, draw: random.Random, forged: Callable[[random.Random], bytes]) -> bytes:
    """As it is, cut, with other bytes, or with a header that promises more."""
    chance = draw.random()
    if chance < 0.5:
        return data
    if chance < 0.65:
        return data[: draw.randrange(len(data) + 1)]
    if chance < 0.85:
        changed = bytearray(data)
        for _ in range(draw.choice((1, 3, 30))):
            # Headers decide more than what follows.
            place = draw.randrange(min(len(changed), draw.choice((64, 10**6)))) if changed else 0
            if changed:
                changed[place] = draw.randrange(256)
        return bytes(changed)
    if chance < 0.95:
        return forged(draw)
    return draw.choice((b"", b"x", b"%PDF-1.7", b"<svg/>", b"GIF89a", b"RIFF", data + data))


def _bomb(draw: random.Random) -> bytes:
    """A PNG whose header says more than its bytes have."""
    width, height = draw.choice(((10**5, 10**5), (2**31 - 1, 1), (0, 0), (30_000, 30_000), (5_000, 5_000)))
    header = struct.pack(
        ">IIBBBBB", width, height, draw.choice((1, 8, 16)), draw.choice((0, 2, 3, 6)), 0, 0, 0
    )
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def _endless(draw: random.Random) -> bytes:
    """A WAV whose header says more than its bytes have."""
    rate, channels, bits = (
        draw.choice((16_000, 1, 2**31 - 1)),
        draw.choice((1, 0, 65_535)),
        draw.choice((8, 16, 0)),
    )
    size = draw.choice((2**32 - 1, 0, 10**8))
    head = struct.pack("<HHIIHH", 1, channels, rate, rate & 0xFFFFFFF, channels & 7, bits)
    return (
        b"RIFF"
        + struct.pack("<I", size)
        + b"WAVEfmt \x10\0\0\0"
        + head
        + b"data"
        + struct.pack("<I", size)
        + b"\0" * 99
    )
