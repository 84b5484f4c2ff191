"""What a function needs to serve a prepared language model."""

from __future__ import annotations

from pathlib import Path

from hf_lambda.onnx_engine.contract import DecoderContract, EncoderContract, read_contract
from hf_lambda.onnx_engine.decoder.memory import context_of, serving_mb

_WEIGHTS = "*.onnx.data"


def memory_of(folder: Path, max_context: int | None) -> tuple[int, int]:
    """(MB that serving the prepared `folder` takes, tokens that each text then holds)."""
    weights = sum(path.stat().st_size for path in folder.glob(_WEIGHTS))
    contract = decoder_contract(folder)
    context = context_of(contract, max_context)
    return serving_mb(weights, contract, context), context


def decoder_contract(folder: Path) -> DecoderContract | EncoderContract:
    """Of a language model, with its head or without."""
    contract = read_contract(folder)
    if not isinstance(contract, DecoderContract | EncoderContract):
        raise TypeError(f"{folder} holds a {type(contract).__name__}")
    return contract
