"""How much memory decoding one file may take: known from its header, refused before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import Unprocessable

SHARE = 3
"""Of a function's memory a third may go into decoding one file; model and runtime need the rest."""
OUTSIDE_LAMBDA_MB = 3008
BYTES_PER_PIXEL = 16
"""While decoding: Pillow's own copy (4), what a codec holds beside it (6 for a progressive JPEG), and a
copy that is turned or converted (4)."""
_IN_THE_MODEL = 1024
"""Bytes for each pixel that a model reads, of its layers: GLPN's take 0.9 to 1.2 kB."""


def decoding_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Most that decoding one file may take, as the function's memory allows."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return (int(memory_mb) if memory_mb.isdecimal() else OUTSIDE_LAMBDA_MB) * (1 << 20) // SHARE


def check_scaled(given: tuple[int, int], scaled: tuple[int, int], *, reads: tuple[int, int] | None) -> None:
    """Raises Unprocessable where a picture becomes too large for the function's memory on its way.

    given: its height and width; scaled: what it is resized to, where a narrow one becomes very long; reads:
    what of it reaches the model, where that has no bound of its own but follows the picture.
    """
    for size, each in ((scaled, BYTES_PER_PIXEL), (reads or (0, 0), _IN_THE_MODEL)):
        if size[0] * size[1] * each > decoding_bytes():
            raise Unprocessable(
                None,
                f"a picture of {given[1]} x {given[0]} pixels becomes {size[1]} x {size[0]} for this model; "
                f"this function's memory allows {decoding_bytes() / each / 1e6:.1f} million: scale it down, "
                "cut it, or raise memoryMb",
            )


def check_masks(height: int, width: int, classes: int) -> None:
    """Raises Unprocessable where scores of all `classes` for each pixel of a picture take too much memory."""
    most = 2 * decoding_bytes() // (4 * classes)
    if height * width > most:
        raise Unprocessable(
            None,
            f"the picture has {width} x {height} pixels and the model {classes} classes for each; this "
            f"function's memory allows {most / 1e6:.1f} million pixels: scale it down, or raise memoryMb",
        )


def too_small(width: int, height: int) -> Unprocessable:
    """What to raise where scaling leaves no pixel of a picture on one of its sides."""
    return Unprocessable(
        None,
        f"a picture of {width} x {height} pixels cannot be scaled to what the model reads: send a larger one",
    )


def label_too_long(tokens: int, most: int) -> Unprocessable:
    return Unprocessable(
        "candidate_labels", f"a label has {tokens} tokens in its sentence, the model reads {most}"
    )
