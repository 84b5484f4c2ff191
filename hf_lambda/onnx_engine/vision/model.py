"""One network of images: pictures to pixels to the graph's outputs, like sizes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...media.image import Image
from ..session import open_session
from .contract import VisionContract
from .pixels import PixelMaker

if TYPE_CHECKING:
    import PIL.Image

    from ...engines import Input

MAX_PIXELS = 8 * 224 * 224
"""Of one batch. On two vCPUs a larger one is no faster, only bigger."""


class VisionModel:
    def __init__(self, contract: VisionContract, prepared: Path, graph: str = "model.onnx") -> None:
        self.contract, self._pixels = contract, PixelMaker(contract.recipe)
        self._session = open_session(prepared / graph, layout=contract.layout)

    def run(self, images: Sequence[Input]) -> Iterator[tuple[tuple[int, int], list[NDArray[Any]]]]:
        """Yield ((height, width) of the picture, outputs of the graph for it) in the order of `images`.

        Pictures are decoded one by one, so that no more than a batch of them is held.
        """
        sizes: list[tuple[int, int]] = []
        batch: list[NDArray[Any]] = []
        for image in images:
            picture = opened(image)
            pixels = self._pixels(picture)
            if batch and (pixels.shape != batch[0].shape or _area(pixels) * (len(batch) + 1) > MAX_PIXELS):
                yield from zip(sizes, self._outputs(batch), strict=True)
                sizes, batch = [], []
            sizes.append((picture.height, picture.width))
            batch.append(pixels)
        yield from zip(sizes, self._outputs(batch), strict=True)

    def _outputs(self, batch: list[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
        if batch:
            feeds = {"pixel_values": np.stack(batch)}
            results = self._session.run(list(self.contract.outputs), feeds)
            for row in range(len(batch)):
                yield [result[row] for result in results]


def opened(image: Input) -> PIL.Image.Image:
    """A picture of Pillow's in RGB, of what requests bring or of one that Pillow made already."""
    if isinstance(image, Image):
        return image.pillow()
    from PIL import ImageOps

    return ImageOps.exif_transpose(image).convert("RGB")


def _area(pixels: NDArray[Any]) -> int:
    return int(pixels.shape[1] * pixels.shape[2])
