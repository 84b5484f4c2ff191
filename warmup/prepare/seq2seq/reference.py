"""What transformers itself generates for the gate's samples, written while the model is in memory anyway."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..plan import NotPrepared, Plan
from ..samples import LONG, SENTENCES

SAMPLES = 8
NEW_TOKENS = 32
"""Enough to disagree in, few enough for a BART-large within a minute."""
_SOURCE_TOKENS = 256
_FORCED, _FORCED_TOKENS = 4, 16
"""Samples, and tokens of each, whose scores are compared one by one."""


def gate_options(shipped: dict[str, Any]) -> dict[str, Any]:
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


def write_reference(work: Path, plan: Plan, tokenizer: Any, model: Any) -> None:
    """Write `reference.json` (sources, generated tokens, options) and `reference.npz` (scores along some)."""
    document = json.loads((work / "export" / "serving.json").read_text())
    options = gate_options(document["generation"])
    if document["text"].get("languages"):
        first = next(iter(document["text"]["languages"].values()))
        options["forced_bos_token_id"] = first["forced_bos"]
    prefix = document["task_specific"].get(plan.task, {}).get("prefix") or document["prefix"]
    sources = [_source(tokenizer, prefix + text, document) for text in _texts(plan)]
    generated = []
    scores = {}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on options, meant for whoever wrote the model
        for index, source in enumerate(sources):
            ids = torch.tensor([source])
            generated.append(model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0].tolist())
            if index < _FORCED:
                forced = torch.tensor([generated[-1][:_FORCED_TOKENS]])
                scores[str(index)] = model(input_ids=ids, decoder_input_ids=forced).logits[0].numpy()
    record = {"sources": sources, "generated": generated, "options": options}
    (work / "reference.json").write_text(json.dumps(record))
    np.savez(work / "reference.npz", **scores)


def _texts(plan: Plan) -> list[str]:
    if plan.samples is None:
        return [*SENTENCES[: SAMPLES - 1], LONG]
    for sample in plan.samples:
        if not isinstance(sample, str):
            raise NotPrepared(f"a gate sample of {plan.task} is {sample!r}; expected a text")
    return list(plan.samples)


def _source(tokenizer: Any, text: str, document: dict[str, Any]) -> list[int]:
    most = min(limit for limit in (_SOURCE_TOKENS, document["max_length"], document["positions"]) if limit)
    return list(tokenizer(text, truncation=True, max_length=most)["input_ids"])
