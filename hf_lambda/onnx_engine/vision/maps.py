"""image-segmentation (semantic) and depth-estimation: answers as large as the picture, as PNG."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...errors import Unprocessable
from ...media import answers
from ...records import Json
from .model import VisionModel

_ROWS = 64
"""Of the picture, that all classes are interpolated to at once."""


class ImageSegmentation:
    def __init__(self, model: VisionModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per image one `{"score": None, "label", "mask"}` for every class that is there."""
        subtask = parameters.get("subtask")
        if subtask not in (None, "semantic"):
            raise Unprocessable(
                "subtask", f"this model segments by class alone: `subtask` {subtask!r} is not its"
            )
        return [self._masks(classes_of(logits, size)) for size, (logits,) in self._model.run(inputs)]

    def _masks(self, classes: NDArray[Any]) -> list[dict[str, Json]]:
        labels = self._model.contract.labels
        return [
            {
                "score": None,
                "label": labels[found],
                "mask": answers.png((classes == found).astype(np.uint8) * 255),
            }
            for found in np.unique(classes).tolist()
        ]


class DepthEstimation:
    def __init__(self, model: VisionModel) -> None:
        self._model = model

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        return [answers.depth(depth_of(depth, size)) for size, (depth,) in self._model.run(inputs)]


def classes_of(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(height, width) of classes from (classes, h, w), interpolated as torch does it before one is chosen."""
    height, width = size
    down, across = _linear(height, logits.shape[1]), _linear(width, logits.shape[2])
    result = np.empty(size, np.int64)
    for top in range(0, height, _ROWS):
        rows = np.einsum("yh,chw->cyw", down[top : top + _ROWS], logits, optimize=True)
        result[top : top + _ROWS] = (rows @ across.T).argmax(axis=0)
    return result


def depth_of(depth: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(height, width) from (h, w), interpolated as torch's `bicubic`."""
    height, width = size
    resized: NDArray[Any] = _cubic(height, depth.shape[0]) @ depth @ _cubic(width, depth.shape[1]).T
    return resized


def _linear(wanted: int, given: int) -> NDArray[Any]:
    """(wanted, given): the share that each given value has in each wanted one."""
    places = np.maximum((np.arange(wanted) + 0.5) * given / wanted - 0.5, 0)
    below = np.minimum(places.astype(int), given - 1)
    share = places - below
    weights = np.zeros((wanted, given), np.float32)
    rows = np.arange(wanted)
    np.add.at(weights, (rows, below), 1 - share)
    np.add.at(weights, (rows, np.minimum(below + 1, given - 1)), share)
    return weights


_SHARPNESS = -0.75
"""torch's coefficient of cubic convolution."""


def _cubic(wanted: int, given: int) -> NDArray[Any]:
    places = (np.arange(wanted) + 0.5) * given / wanted - 0.5
    below = np.floor(places).astype(int)
    share = places - below
    weights = np.zeros((wanted, given), np.float32)
    rows = np.arange(wanted)
    for step, distance in ((-1, share + 1), (0, share), (1, 1 - share), (2, 2 - share)):
        np.add.at(weights, (rows, np.clip(below + step, 0, given - 1)), _convolution(distance))
    return weights


def _convolution(distance: NDArray[Any]) -> NDArray[Any]:
    a = _SHARPNESS
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    weights: NDArray[Any] = np.where(distance <= 1, near, far)
    return weights
