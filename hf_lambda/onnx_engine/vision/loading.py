"""Which class answers which task of images."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ...background import Future
from .contract import VisionContract

if TYPE_CHECKING:
    from ...engines import Engine

_CLASSES = {
    "image-classification": ("classification", "ImageClassification"),
    "image-feature-extraction": ("classification", "ImageFeatureExtraction"),
    "object-detection": ("detection", "ObjectDetection"),
    "image-segmentation": ("maps", "ImageSegmentation"),
    "depth-estimation": ("maps", "DepthEstimation"),
}


def load(task: str, contract: VisionContract, prepared: Path) -> Engine:
    """Load the folder `prepared` for `task`."""
    # Beside the session, which lets go of the interpreter while it opens.
    pillow = Future(lambda: import_module("PIL.ImageOps")).start()
    from .model import VisionModel

    if contract.text is not None:
        from .zero_shot import LabelEncoder, ZeroShotImageClassification

        labels = LabelEncoder(contract.text, prepared)
        model = VisionModel(contract, prepared, "image.onnx")
        pillow.result()
        return ZeroShotImageClassification(model, labels)
    module, name = _CLASSES[task]
    engine: Engine = getattr(import_module(f"{__package__}.{module}"), name)(VisionModel(contract, prepared))
    pillow.result()
    return engine
