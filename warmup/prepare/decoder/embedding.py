"""Language models that embed texts: the same graph without its head, and transformers' states to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from hf_lambda.onnx_engine.contract import write_contract

from ..encoder import reference as states
from ..encoder.contract import contract_of, with_embedding, write_tokenizer
from ..loading import load_config, load_tokenizer
from ..request import PrepareRequest
from .architecture import architecture_of
from .reference import Layered

_INPUTS, _OUTPUT = ("input_ids",), "last_hidden_state"


def export(request: PrepareRequest, work: Path) -> None:
    """Write tokenizer.json and serving.json into `export/`, and transformers' states into `work`.

    Raises NotPrepared for a variant of a family whose graph would not come out the same.
    """
    transformers.utils.logging.disable_progress_bar()
    config = load_config(request.snapshot)
    shape = architecture_of(config)
    tokenizer = load_tokenizer(request.snapshot)
    # Many say nothing of a maximum, and none knows where the graph's rotations end.
    tokenizer.model_max_length = min(tokenizer.model_max_length, shape.positions)
    folder = work / "export"
    write_tokenizer(folder, tokenizer)
    contract = replace(
        contract_of(request.head, tokenizer, config, _INPUTS),
        max_position=shape.positions,
        is_causal=True,
        cache_bytes=shape.cache_bytes,
    )
    write_contract(with_embedding(contract, request.snapshot, folder), folder)
    model = Layered(request.snapshot)

    def answer(input_ids: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return {_OUTPUT: torch.from_numpy(model.hidden(input_ids[0].tolist()))[None]}

    states.write(request, work, tokenizer, answer, _INPUTS, (_OUTPUT,))
