"""What a function needs to serve a prepared language model."""

from __future__ import annotations

from pathlib import Path

from hf_lambda.onnx_engine.contract import DecoderContract
from hf_lambda.onnx_engine.decoder.memory import context_of, serving_mb

_WEIGHTS = "*.onnx.data"


def memory_of(folder: Path, max_context: int | None) -> tuple[int, int]:
    """(MB that serving the prepared `folder` takes, tokens that each text then holds)."""
    weights = sum(path.stat().st_size for path in folder.glob(_WEIGHTS))
    contract = DecoderContract.read(folder)
    context = context_of(contract, max_context)
    return serving_mb(weights, contract, context), context
