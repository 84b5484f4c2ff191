"""Writing a language model as a folder that is served: graph, tokenizer, contract."""

from __future__ import annotations

from pathlib import Path

import transformers

from hf_lambda.onnx_engine.decoder.model import GRAPH

from ..loading import load_config, load_tokenizer
from ..request import PrepareRequest
from . import reference
from .architecture import architecture_of, rotations
from .contract import write_tokenizer_and_contract
from .graph import write_graph
from .tensors import Tensors

_BYTES = {"int4": 0.625, "int8": 1.125, "fp32": 4.0}
"""Of one weight, its share of a scale counted in."""
_PACKED = 1.5
"""Measured at 0.5 and 1 billion parameters: what is mapped and what is packed of it, at the peak."""
_REST_MB = 200
"""Python, onnxruntime, tokenizer, and keys and values of one text."""


def export(request: PrepareRequest, work: Path) -> None:
    """Write tokenizer.json and serving.json into `export/`, and transformers' answers into `work`.

    Raises NotPrepared for a family, a tokenizer or an option that would not come out the same.
    """
    transformers.utils.logging.disable_progress_bar()
    config = load_config(request.snapshot)
    shape = architecture_of(config)
    tokenizer = load_tokenizer(request.snapshot)
    write_tokenizer_and_contract(work / "export", request, tokenizer, config, shape)
    reference.write(request, work, tokenizer)


def export_graph(request: PrepareRequest, folder: Path, precision: str) -> dict[str, int]:
    """Write the graph into `folder`; return the bytes of its weight file that every token reads."""
    config = load_config(request.snapshot)
    shape = architecture_of(config)
    tables = rotations(config, shape.positions)
    dense = write_graph(Tensors(request.snapshot), shape, tables, folder / GRAPH, precision)
    return {f"{GRAPH}.data": dense}


def serving_memory_mb(snapshot: Path, precision: str) -> int:
    """What serving the model takes: its weights, copies of those that onnxruntime packs, and the rest."""
    tensors = Tensors(snapshot)
    weights = sum(tensors[name].size for name in tensors.names)
    return int(weights * _BYTES[precision] * _PACKED / 2**20) + _REST_MB
