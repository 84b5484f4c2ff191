"""What a file is, by its first bytes: to name what was sent where it cannot be read."""

from __future__ import annotations

import re

_AT_START = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"fLaC", "FLAC"),
    (b"OggS", "OGG"),
    (b"ID3", "MP3"),
    (b"%PDF", "PDF"),
    (b"\x1a\x45\xdf\xa3", "WebM"),
    (b"#!AMR", "AMR"),
    (b"\x30\x26\xb2\x75", "WMA"),
    (b"\0\0\1\0", "ICO"),
    (b"8BPS", "PSD"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"{", "JSON"),
)
_BOXES = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"M4A ", b"M4B "), "M4A"),
}
_ANY_PICTURES = (b"mif1", b"msf1")
"""Brands of files whose pictures are packed in any way."""
_RIFF = {b"WEBP": "WebP", b"WAVE": "WAV", b"AVI ": "AVI"}

DEMUXERS = {"M4A": "mov", "MP4": "mov", "WebM": "matroska", "AMR": "amr", "WMA": "asf", "AAC": "aac"}
"""FFmpeg's name by format. It is told and does not guess: some of its demuxers open what a file names."""


def format_of(data: bytes) -> str | None:
    """Name of the format of `data`, None where it is not one of those that are known here."""
    head = data[:16]
    if head[4:8] == b"ftyp":
        return _of_brands(data)
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        return "AIFF" if head[:4] == b"FORM" else _RIFF.get(head[8:12])
    for mark, name in _AT_START:
        if head.startswith(mark):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "AAC" if head[1] & 0x06 == 0 else "MP3"  # the layer: none for AAC
    if re.search(rb"<svg[\s>]", data[:1024], re.IGNORECASE):
        return "SVG"
    return "HTML or XML" if data[:256].lstrip().startswith(b"<") else None


def _of_brands(data: bytes) -> str:
    """The format of a file of boxes: by its major brand, where that says only "images" by the others too.

    ISO/IEC 14496-12: size (4 bytes), "ftyp", major brand, version (4 bytes), then the compatible brands.
    """
    major = data[8:12]
    if major in _ANY_PICTURES:
        end = min(int.from_bytes(data[:4]), len(data), 256)
        others = {data[at : at + 4] for at in range(16, end - 3, 4)}
        if others & {b"avif", b"avis"}:
            return "AVIF"
    return _BOXES.get(major, "MP4")


def called(data: bytes) -> str:
    """What was sent, in words."""
    name = format_of(data)
    if name is None:
        return f"{len(data)} bytes of an unknown format"
    return f"{'an' if name[0] in 'AHMS' and name not in ('HEIC', 'HTML or XML', 'JSON') else 'a'} {name} file"
