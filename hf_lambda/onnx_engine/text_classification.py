"""text-classification: label and score of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines import Input
from ..records import Json
from .encoder import Encoder, sigmoid, softmax


class TextClassification:
    """Scores as transformers' `TextClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """inputs: texts, or `{"text", "text_pair"}`. With `top_k` each gives a list of dicts."""
        limit = self._encoder.limit(parameters.get("truncation"), parameters.get("max_length"))
        named = parameters.get("truncation") in ("only_first", "only_second")
        strategy = parameters["truncation"] if named else "longest_first"
        texts = [_text(item) for item in inputs]
        encodings = self._encoder.encode(texts, max_length=limit, strategy=strategy)
        self._encoder.note_truncated(encodings)
        results: list[Json] = [None] * len(inputs)
        for index, (logits,) in self._encoder.run(encodings, ["logits"]):
            results[index] = self._answer(
                self._scores(logits, parameters.get("function_to_apply")), parameters
            )
        return results

    def _scores(self, logits: NDArray[Any], function: str | None) -> NDArray[Any]:
        if function in (None, "default"):
            function = self._default_function()
        if function == "sigmoid":
            return sigmoid(logits)
        return softmax(logits) if function == "softmax" else logits

    def _default_function(self) -> str:
        contract = self._encoder.contract
        if contract.problem_type == "regression":
            return "none"
        if contract.problem_type == "multi_label_classification" or len(contract.labels) == 1:
            return "sigmoid"
        return "softmax"

    def _answer(self, scores: NDArray[Any], parameters: Mapping[str, Json]) -> Json:
        labels = self._encoder.contract.labels
        if "top_k" not in parameters:
            best = int(scores.argmax())
            return {"label": labels[best], "score": float(scores[best])}
        order = np.argsort(-scores, kind="stable")[: parameters["top_k"]]
        return [{"label": labels[index], "score": float(scores[index])} for index in order]


def _text(item: Input) -> str | tuple[str, str]:
    if isinstance(item, str):
        return item
    return (item["text"], item["text_pair"]) if item.get("text_pair") is not None else item["text"]
