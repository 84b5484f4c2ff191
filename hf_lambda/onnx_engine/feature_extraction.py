"""feature-extraction: texts as vectors, one per token or one per text."""

from __future__ import annotations

from typing import Any

import numpy as np

from .encoder import Encoder


class FeatureExtraction:
    """Hidden states as transformers' `FeatureExtractionPipeline` gives them; pooling is ours."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        """Per text `[1][tokens][dimensions]`; with `pooling` ("mean", "cls") `[dimensions]`.

        `normalize` makes every vector one of length 1.
        """
        pooling = parameters.get("pooling")
        limit = self._encoder.limit(parameters.get("truncation"), parameters.get("max_length"))
        encodings = self._encoder.encode(inputs, max_length=limit)
        results: list[Any] = [None] * len(inputs)
        for index, (hidden,) in self._encoder.run(encodings, ["last_hidden_state"]):
            states = _pooled(hidden[: len(encodings[index].ids)], pooling)
            if parameters.get("normalize"):
                norms = np.linalg.norm(states, axis=-1, keepdims=True)
                states = states / np.maximum(norms, 1e-12)
            results[index] = states.tolist() if pooling else [states.tolist()]
        return results

    def count_tokens(self, texts: list[str]) -> int:
        return sum(len(encoding.ids) for encoding in self._encoder.encode(texts))


def _pooled(states: Any, pooling: str | None) -> Any:
    if pooling == "mean":
        return states.mean(axis=0)
    return states[0] if pooling == "cls" else states
