"""transformers' own answers to the gate's samples, written while the model is in memory anyway."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..plan import Plan
from ..samples import samples_of


def write(
    work: Path, plan: Plan, tokenizer: Any, model: Any, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Write `reference.npz`: per sample and output the model's own numbers, one sample at a time, unpadded.

    Also `encodings.json`, the token ids of every sample, by which the served tokenizer is checked.
    """
    import torch  # the gate reads this module too, and needs none

    encodings = [_encode(plan, tokenizer, sample) for sample in samples_of(plan, tokenizer.mask_token)]
    arrays: dict[str, Any] = {}
    with torch.no_grad():
        for index, encoding in enumerate(encodings):
            feeds = {name: torch.tensor([encoding[name]]) for name in inputs if name in encoding}
            result = model(**feeds)
            for name in outputs:
                arrays[f"{index}.{name}"] = result[name][0].numpy()[_kept(plan, tokenizer, encoding)]
    np.savez(work / "reference.npz", **arrays)
    (work / "encodings.json").write_text(json.dumps(encodings))


def _encode(plan: Plan, tokenizer: Any, sample: Any) -> dict[str, list[int]]:
    pair = sample if isinstance(sample, (list, tuple)) else (sample,)
    limit = min(tokenizer.model_max_length, 512)
    encoded = tokenizer(*pair, truncation=True, max_length=limit)
    ids = list(encoded["input_ids"])
    zeros = [0] * len(ids)
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "token_type_ids": list(encoded.get("token_type_ids", zeros)),
    }


def _kept(plan: Plan, tokenizer: Any, encoding: dict[str, list[int]]) -> Any:
    """Everything, but of a masked model the rows of the masks: the rest is a vocabulary per token."""
    if plan.head != "masked-lm":
        return ...
    return np.array(encoding["input_ids"]) == tokenizer.mask_token_id


def read(work: Path) -> Iterator[tuple[dict[str, list[int]], dict[str, Any]]]:
    """Yield `(encoding, outputs by name)` for every sample."""
    encodings = json.loads((work / "encodings.json").read_text())
    with np.load(work / "reference.npz") as arrays:
        for index, encoding in enumerate(encodings):
            mark = f"{index}."
            yield encoding, {key.removeprefix(mark): arrays[key] for key in arrays if key.startswith(mark)}
