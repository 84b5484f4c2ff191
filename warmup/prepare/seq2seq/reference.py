"""What transformers itself generates for the gate's samples, written while the model is in memory anyway."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.onnx_engine.contract import Seq2SeqContract

from ...protocol.records import Json
from ..request import NotPrepared, PrepareRequest
from ..samples import LONG, SENTENCES

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLES = 8
NEW_TOKENS = 32
"""Enough to disagree in, few enough for a BART-large within a minute."""
_SOURCE_TOKENS = 256
_FORCED, _FORCED_TOKENS = 4, 16
"""Samples, and tokens of each, whose scores are compared one by one."""


@dataclass(frozen=True)
class Reference:
    """transformers' answers: per sample its source's tokens and the generated ones."""

    sources: list[list[int]]
    generated: list[list[int]]
    options: Mapping[str, Json]
    """What both sides generate with, beside the model's own options."""
    scores: Mapping[int, NDArray[Any]]
    """Of some samples: (tokens, vocabulary), transformers' scores along what it generated."""


def gate_options(shipped: Mapping[str, Json]) -> dict[str, Json]:
    """The model's own options, cut to NEW_TOKENS: what the gate generates with on both sides."""
    longest = shipped.get("max_new_tokens") or (shipped.get("max_length") or 1 + NEW_TOKENS) - 1
    longest = max(1, min(NEW_TOKENS, longest))
    shortest = min(
        shipped.get("min_new_tokens") or max(0, (shipped.get("min_length") or 1) - 1), longest // 2
    )
    return {
        "max_new_tokens": longest,
        "min_new_tokens": shortest,
        "num_return_sequences": 1,
        "do_sample": False,
    }


def write(
    request: PrepareRequest,
    work: Path,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    contract: Seq2SeqContract,
) -> None:
    """Write `reference.json` (sources, generated tokens, options) and `reference.npz` (scores along some)."""
    import torch  # the gate reads this module too, and needs none

    options = gate_options(contract.generation)
    if contract.text.languages:
        options["forced_bos_token_id"] = next(iter(contract.text.languages.values())).forced_bos
    prefix = contract.prefix_of(request.task)
    sources = [_source(tokenizer, prefix + text, contract) for text in _texts(request)]
    generated = []
    scores = {}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on options, meant for whoever wrote the model
        for index, source in enumerate(sources):
            ids = torch.tensor([source])
            generated.append(model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0].tolist())
            if index < _FORCED:
                forced = torch.tensor([generated[-1][:_FORCED_TOKENS]])
                scores[index] = model(input_ids=ids, decoder_input_ids=forced).logits[0].numpy()
    save(Reference(sources, generated, options, scores), work)


def save(reference: Reference, work: Path) -> None:
    document = {name: value for name, value in vars(reference).items() if name != "scores"}
    (work / "reference.json").write_text(json.dumps(document))
    arrays = {str(index): scores for index, scores in reference.scores.items()}
    np.savez(work / "reference.npz", allow_pickle=False, **arrays)


def read(work: Path) -> Reference:
    document = json.loads((work / "reference.json").read_text())
    with np.load(work / "reference.npz") as scores:
        return Reference(**document, scores={int(index): scores[index] for index in scores})


def _texts(request: PrepareRequest) -> list[str]:
    if request.samples is None:
        return [*SENTENCES[: SAMPLES - 1], LONG]
    for sample in request.samples:
        if not isinstance(sample, str):
            raise NotPrepared(f"a gate sample of {request.task} is {sample!r}; expected a text")
    return list(request.samples)


def _source(tokenizer: PreTrainedTokenizerBase, text: str, contract: Seq2SeqContract) -> list[int]:
    most = min(limit for limit in (_SOURCE_TOKENS, contract.max_length, contract.max_position) if limit)
    return list(tokenizer(text, truncation=True, max_length=most)["input_ids"])
