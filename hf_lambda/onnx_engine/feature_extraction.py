"""feature-extraction: texts as vectors, one per token or one per text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..parameters import parameters_of
from .encoder import Encoder
from .parameters import merged

_PARAMETERS = parameters_of("feature-extraction")


class FeatureExtraction:
    """Hidden states as transformers' `FeatureExtractionPipeline` gives them; pooling is ours."""

    def __init__(self, encoder: Encoder, options: Mapping[str, Any]) -> None:
        self._encoder, self._options = encoder, options

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        """Per text `[1][tokens][dimensions]`; with `pooling` ("mean", "cls") `[dimensions]`.

        `normalize` makes every vector one of length 1.
        """
        chosen = merged(self._options, parameters, _PARAMETERS)
        pooling = chosen.get("pooling")
        if pooling not in (None, "mean", "cls"):
            raise BadRequest("pooling", "mean or cls", repr(pooling))
        limit = self._encoder.limit(chosen.get("truncation"), chosen.get("max_length"))
        encodings = self._encoder.encode(inputs, max_length=limit)
        results: list[Any] = [None] * len(inputs)
        for index, (hidden,) in self._encoder.run(encodings, ["last_hidden_state"]):
            states = _pooled(hidden[: len(encodings[index].ids)], pooling)
            if chosen.get("normalize"):
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
