"""How much memory decoding one file may take: known from its header, refused before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Mapping

SHARE = 3
"""Of a function's memory a third may go into decoding one file; model and runtime need the rest."""
OUTSIDE_LAMBDA_MB = 3008


def decoding_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Most that decoding one file may take, as the function's memory allows."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return (int(memory_mb) if memory_mb.isdecimal() else OUTSIDE_LAMBDA_MB) * (1 << 20) // SHARE
