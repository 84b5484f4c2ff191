"""Texts as vectors: one per token, or one per text with `pooling`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from ..batches import run_batches
from .loading import MAX_PADDED_TOKENS, check_length, load_model, load_tokenizer, max_length, max_position


class FeatureExtraction:
    def __init__(self, snapshot: Path) -> None:
        self._model, self._tokenizer = load_model(transformers.AutoModel, snapshot), load_tokenizer(snapshot)

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        """Per text `[1][tokens][dimensions]`, as transformers gives it; with `pooling` `[dimensions]`."""
        truncation = parameters.get("truncation") or False
        most = parameters.get("max_length") or max_length(self._tokenizer, self._model)
        encoded = self._tokenizer(
            inputs,
            truncation=bool(truncation and most),
            max_length=most if truncation else None,
            verbose=False,
        )
        lengths = [len(ids) for ids in encoded["input_ids"]]
        check_length(lengths, max_position(self._model), remedy="shorten it, or ask for truncation")
        rows = [{name: encoded[name][row] for name in encoded} for row in range(len(inputs))]
        return run_batches(rows, lengths, lambda group: self._run(group, parameters), MAX_PADDED_TOKENS)

    def _run(self, rows: list[dict[str, list[int]]], parameters: Mapping[str, Any]) -> list[Any]:
        if self._tokenizer.pad_token_id is None:
            batches = [{name: torch.tensor([row[name]]) for name in row} for row in rows]
        else:
            batches = [dict(self._tokenizer.pad(rows, return_tensors="pt"))]
        return [result for batch in batches for result in self._infer(batch, parameters)]

    def _infer(self, batch: dict[str, torch.Tensor], parameters: Mapping[str, Any]) -> list[Any]:
        with torch.inference_mode():
            states = self._model(**batch)[0].float()
        mask = batch["attention_mask"].bool()
        return [_vectors(row[kept], parameters) for row, kept in zip(states, mask, strict=True)]


def _vectors(states: torch.Tensor, parameters: Mapping[str, Any]) -> Any:
    """`states`: tokens x dimensions, without padding."""
    pooling = parameters.get("pooling")
    if pooling == "mean":
        states = states.mean(dim=0)
    elif pooling == "cls":
        states = states[0]
    if parameters.get("normalize"):
        states = torch.nn.functional.normalize(states, dim=-1)
    return states.tolist() if pooling else [states.tolist()]
