"""object-detection: boxes in the picture's own pixels, as transformers' pipeline gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...records import Json
from ..encoder import sigmoid, softmax
from .model import VisionModel

THRESHOLD = 0.5
_MOST = 100
"""Conditional DETR's pairs of query and class that are looked at."""


class ObjectDetection:
    def __init__(self, model: VisionModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        threshold = parameters.get("threshold", THRESHOLD)
        contract = self._model.contract
        return [
            [
                {
                    "score": float(score),
                    "label": contract.labels[label],
                    "box": dict(zip(_SIDES, box, strict=True)),
                }
                for score, label, box in detected(logits, boxes, size, contract.rule, threshold)
            ]
            for size, (logits, boxes) in self._model.run(inputs)
        ]


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def detected(
    logits: NDArray[Any], boxes: NDArray[Any], size: tuple[int, int], rule: str, threshold: float
) -> list[tuple[float, int, list[int]]]:
    """(score, class, [left, top, right, bottom]) of what scores above `threshold`, in transformers' order.

    logits: (queries, classes); boxes: (queries, 4) of middle and extent, as shares of the picture.
    """
    if rule == "softmax":
        shares = softmax(logits)[:, :-1]
        scores, classes, queries = shares.max(axis=1), shares.argmax(axis=1), np.arange(len(logits))
    else:
        flat = sigmoid(logits).reshape(-1)
        order = np.argsort(-flat, kind="stable")[: len(logits) if rule == "focal" else _MOST]
        scores, queries, classes = flat[order], order // logits.shape[1], order % logits.shape[1]
    height, width = size
    x, y, w, h = boxes.T
    half = np.float32(0.5)
    corners = np.stack([x - half * w, y - half * h, x + half * w, y + half * h], axis=1)
    corners = (corners * np.array([width, height, width, height], np.float32)).astype(int)
    return [
        (float(scores[at]), int(classes[at]), corners[queries[at]].tolist())
        for at in np.flatnonzero(scores > threshold)
    ]
