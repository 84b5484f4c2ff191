"""How much memory decoding one file may take: known from its header, refused before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import Unprocessable

SHARE = 3
"""Of a function's memory a third may go into decoding one file; model and runtime need the rest."""
OUTSIDE_LAMBDA_MB = 3008


def decoding_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Most that decoding one file may take, as the function's memory allows."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return (int(memory_mb) if memory_mb.isdecimal() else OUTSIDE_LAMBDA_MB) * (1 << 20) // SHARE


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
