"""text-classification: label and score of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..parameters import parameters_of
from .encoder import Encoder
from .parameters import merged
from .scores import sigmoid, softmax

_PARAMETERS = parameters_of("text-classification")


class TextClassification:
    """Scores as transformers' `TextClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder, options: Mapping[str, Any]) -> None:
        self._encoder, self._options = encoder, options

    def __call__(self, inputs: list[Any], **parameters: Any) -> list[Any]:
        """inputs: texts, or `{"text", "text_pair"}`. With `top_k` each gives a list of dicts."""
        chosen = merged(self._options, parameters, _PARAMETERS)
        limit = self._encoder.limit(chosen.get("truncation"), chosen.get("max_length"))
        named = chosen.get("truncation") in ("only_first", "only_second")
        strategy = chosen["truncation"] if named else "longest_first"
        texts = [_text(item) for item in inputs]
        encodings = self._encoder.encode(texts, max_length=limit, strategy=strategy)
        results: list[Any] = [None] * len(inputs)
        for index, (logits,) in self._encoder.run(encodings, ["logits"]):
            results[index] = self._answer(self._scores(logits, chosen.get("function_to_apply")), chosen)
        return results

    def _scores(self, logits: Any, function: str | None) -> Any:
        if function in (None, "default"):
            function = self._default_function()
        if function == "sigmoid":
            return sigmoid(logits)
        if function == "softmax":
            return softmax(logits)
        if function == "none":
            return logits
        raise BadRequest("function_to_apply", "sigmoid, softmax, none or default", repr(function))

    def _default_function(self) -> str:
        contract = self._encoder.contract
        if contract.problem_type == "regression":
            return "none"
        if contract.problem_type == "multi_label_classification" or len(contract.labels) == 1:
            return "sigmoid"
        return "softmax"

    def _answer(self, scores: Any, chosen: Mapping[str, Any]) -> Any:
        labels = self._encoder.contract.labels
        if "top_k" not in chosen:
            best = int(scores.argmax())
            return {"label": labels[best], "score": float(scores[best])}
        order = np.argsort(-scores, kind="stable")[: chosen["top_k"]]
        return [{"label": labels[index], "score": float(scores[index])} for index in order]


def _text(item: Any) -> Any:
    if isinstance(item, str):
        return item
    if isinstance(item, dict) and set(item) <= {"text", "text_pair"} and isinstance(item.get("text"), str):
        return (item["text"], item["text_pair"]) if item.get("text_pair") is not None else item["text"]
    raise BadRequest(None, 'a text or {"text": ..., "text_pair": ...}', type(item).__name__)
