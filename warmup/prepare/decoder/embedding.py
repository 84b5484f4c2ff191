"""Language models that embed texts: the same graph without its head, and transformers' states to compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from hf_lambda.onnx_engine.contract import write_contract

from ..encoder import reference as states
from ..encoder.contract import with_embedding
from ..request import PrepareRequest
from .contract import CAUSAL_INPUTS, write_tokenizer_of_encoder
from .reference import Layered

_OUTPUT = "last_hidden_state"


def export(request: PrepareRequest, work: Path) -> None:
    """Write tokenizer.json and serving.json into `export/`, and transformers' states into `work`.

    Raises NotPrepared for a variant of a family whose graph would not come out the same.
    """
    folder = work / "export"
    tokenizer, contract = write_tokenizer_of_encoder(request, folder)
    write_contract(with_embedding(contract, request.snapshot, folder), folder)
    model = Layered(request.snapshot)

    def answer(input_ids: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return {_OUTPUT: torch.from_numpy(model.hidden(input_ids[0].tolist()))[None]}

    states.write(request, work, tokenizer, answer, CAUSAL_INPUTS, (_OUTPUT,))
