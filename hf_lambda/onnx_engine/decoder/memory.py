"""What a language model takes of a function's memory: its weights, and keys and values of its texts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..contract import DecoderContract, EncoderContract

DEFAULT_CONTEXT = 4096
"""Tokens of prompt and answer together, where the script does not say (`max_context`)."""
_PACKED = 1.5
"""Measured at 0.5 and 1 billion parameters: what is mapped and what is packed of it, at the peak."""
_REST_MB = 200
"""Python, onnxruntime, tokenizer, and what a chunk of a prompt is computed in."""


def context_of(contract: DecoderContract | EncoderContract, max_context: int | None) -> int:
    """Tokens that one text holds. max_context: what the script asks for."""
    return min(max_context or DEFAULT_CONTEXT, contract.max_position or DEFAULT_CONTEXT)


def serving_mb(weight_bytes: int, contract: DecoderContract | EncoderContract, context: int) -> int:
    """Memory of a function that serves one text of `context` tokens at a time."""
    return _without_texts_mb(weight_bytes) + (context * contract.cache_bytes >> 20)


def room_for_texts(weight_bytes: int, environ: Mapping[str, str] = os.environ) -> int | None:
    """Bytes that are left for keys and values; None outside Lambda, where nobody says what there is."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if not memory_mb.isdecimal():
        return None
    return max(0, int(memory_mb) - _without_texts_mb(weight_bytes)) << 20


def _without_texts_mb(weight_bytes: int) -> int:
    return int(weight_bytes * _PACKED / 2**20) + _REST_MB
