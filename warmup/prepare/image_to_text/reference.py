"""What transformers itself writes of the gate's pictures, while the model is in memory anyway."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.onnx_engine.vision.contract import ImageToTextContract

from ...protocol.records import Json
from ..seq2seq.reference import gate_options

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FORCED, _FORCED_TOKENS = 4, 16
"""Pictures, and tokens of each, whose scores are compared one by one."""


@dataclass(frozen=True)
class Written:
    """What transformers made of one picture."""

    pixels: NDArray[Any]
    tokens: list[int]
    scores: NDArray[Any] | None
    """(tokens, vocabulary), transformers' scores along what it wrote; of some pictures."""


@dataclass(frozen=True)
class Reference:
    pictures: list[Written]
    options: Mapping[str, Json]
    """What both sides generate with, beside the model's own options."""


def write(
    work: Path, model: PreTrainedModel, pixels: Sequence[NDArray[Any]], contract: ImageToTextContract
) -> None:
    """Write `reference.json` and `reference.npz`."""
    import torch  # the gate reads this module too, and needs none

    options = gate_options(contract.generation)
    arrays, tokens = {}, []
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on options, meant for whoever wrote the model
        for index, values in enumerate(pixels):
            picture = torch.from_numpy(values[None])
            ids = model.generate(pixel_values=picture, **options)
            tokens.append(ids[0].tolist())
            arrays[f"{index}.pixels"] = values
            if index < _FORCED:
                forced = ids[:, :_FORCED_TOKENS]
                scores = model(pixel_values=picture, decoder_input_ids=forced).logits[0]
                arrays[f"{index}.scores"] = scores.numpy()
    (work / "reference.json").write_text(json.dumps({"tokens": tokens, "options": options}))
    np.savez(work / "reference.npz", allow_pickle=False, **arrays)


def read(work: Path) -> Reference:
    document = json.loads((work / "reference.json").read_text())
    with np.load(work / "reference.npz") as arrays:
        pictures = [
            Written(arrays[f"{index}.pixels"], tokens, arrays.get(f"{index}.scores"))
            for index, tokens in enumerate(document["tokens"])
        ]
    return Reference(pictures, document["options"])
