"""image-classification and image-feature-extraction, in the shapes of transformers' pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...errors import BadRequest, Unprocessable
from ...records import Json
from ..encoder import sigmoid, softmax
from .model import VisionModel

TOP_K = 5


class ImageClassification:
    def __init__(self, model: VisionModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        contract = self._model.contract
        function = parameters.get("function_to_apply")
        return [
            ranked(
                applied(logits, function, contract.problem_type, len(contract.labels)),
                contract.labels,
                parameters.get("top_k") or TOP_K,
            )
            for _, (logits,) in self._model.run(inputs)
        ]


class ImageFeatureExtraction:
    def __init__(self, model: VisionModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per image `[1][...]` of the last hidden state; with `pool` `[1][dimensions]`."""
        name = "pooler_output" if parameters.get("pool") else "last_hidden_state"
        outputs = self._model.contract.outputs
        if name not in outputs:
            raise Unprocessable(None, "this model has no pooled output: leave `pool` out")
        at = outputs.index(name)
        return [[values[at].tolist()] for _, values in self._model.run(inputs)]


def applied(
    logits: NDArray[Any], function: str | None, problem_type: str | None, labels: int
) -> NDArray[Any]:
    """Scores of one input, by what was asked for or what the model was trained for."""
    if function in (None, "default"):
        if problem_type == "regression":
            function = "none"
        elif problem_type == "multi_label_classification" or labels == 1:
            function = "sigmoid"
        else:
            function = "softmax"
    if function == "none":
        return logits
    if function not in ("softmax", "sigmoid"):
        raise BadRequest("function_to_apply", "sigmoid, softmax, none or default", repr(function))
    return softmax(logits) if function == "softmax" else sigmoid(logits)


def ranked(scores: NDArray[Any], labels: tuple[str, ...], top_k: int) -> list[dict[str, Json]]:
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [{"label": labels[index], "score": float(scores[index])} for index in order]
