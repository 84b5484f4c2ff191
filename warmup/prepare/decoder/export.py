"""Writing a language model as a folder that is served: graph, tokenizer, contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import transformers

from hf_lambda.onnx_engine.contract import EncoderContract
from hf_lambda.onnx_engine.decoder.memory import context_of, serving_mb
from hf_lambda.onnx_engine.decoder.model import GRAPH

from ..loading import load_config, load_tokenizer
from ..request import PrepareRequest
from . import reference
from .architecture import architecture_of, rotations
from .blocks import BLOCK
from .contract import write_tokenizer_and_contract
from .graph import Written, write_graph
from .memory import decoder_contract
from .tensors import open_model

_BYTES = {"int4": 0.5, "int8": 1.0, "fp32": 4.0}
"""Of one weight, without its share of a scale."""
_SCALE_BYTES = 4


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


def export_graph(
    request: PrepareRequest,
    folder: Path,
    precision: str,
    judged: Sequence[int] = (),
    *,
    block: int = BLOCK,
) -> Written:
    """Write the graph into `folder`. judged, block: see write_graph."""
    shape, tensors = open_model(request.snapshot, reference.adapter_of(request))
    tables = rotations(load_config(request.snapshot), shape.positions)
    return write_graph(
        tensors,
        shape,
        tables,
        folder / GRAPH,
        precision,
        block=block,
        has_head=request.head == "causal-lm",
        judged=judged,
    )


def judged_tokens(work: Path) -> tuple[int, ...]:
    """Tokens that the answers of a model that ranks are read from; none of every other."""
    contract = decoder_contract(work / "export")
    ranking = contract.ranking if isinstance(contract, EncoderContract) else None
    return ranking.judge.tokens if ranking and ranking.judge else ()


def expected_memory_mb(request: PrepareRequest, work: Path, precision: str, block: int) -> int:
    """What serving the model will take, told before its graph is written."""
    _, tensors = open_model(request.snapshot)
    weights = sum(tensors[name].size for name in tensors.names)
    contract = decoder_contract(work / "export")
    context = context_of(contract, request.max_context)
    each = _BYTES[precision] + (_SCALE_BYTES / block if precision != "fp32" else 0)
    return serving_mb(int(weights * each), contract, context)
