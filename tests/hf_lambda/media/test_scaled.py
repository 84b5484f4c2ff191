"""Pictures that are small as files and large on their way into a model: refused before they are scaled."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from hf_lambda import torch_engine
from hf_lambda.errors import Unprocessable
from hf_lambda.media.image import Image
from hf_lambda.onnx_engine.vision.pixels import PixelMaker
from tests.media_support import encoded
from tests.tiny_media import build
from warmup.prepare.vision.recipe import recipe_of

SIZES = {"line": (1, 12_000), "column": (12_000, 1), "panorama": (40, 12_000), "photo": (1_500, 2_000)}
"""(height, width)."""
REFUSED = {
    ("clip", "zero-shot-image-classification", ""): {"line", "column"},
    ("vit", "image-classification", "ForImageClassification"): set(),
    ("detr", "object-detection", "ForObjectDetection"): set(),
    ("resnet", "image-classification", "ForImageClassification"): {"line", "column"},
    ("mobilevit", "image-classification", "ForImageClassification"): {"line", "column"},
    ("depth_anything", "depth-estimation", "ForDepthEstimation"): {"panorama"},
    ("glpn", "depth-estimation", "ForDepthEstimation"): {"photo", "panorama"},
    ("segformer", "image-segmentation", "ForSemanticSegmentation"): set(),
}
"""Family, task and class, and the pictures that are too much for this function's memory."""
LABELS = {"candidate_labels": ["a", "b"]}


def picture_of(size: tuple[int, int]) -> bytes:
    return encoded(PIL.Image.new("RGB", (size[1], size[0])))


def refusal(call: Any) -> str | None:
    try:
        call()
    except Unprocessable as refused:
        return refused.message
    return None


@pytest.mark.parametrize("case", REFUSED)
def test_what_becomes_too_large_for_the_memory_is_refused_on_both_engines(tmp_path, monkeypatch, case):
    family, task, head = case
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    engine: Any = torch_engine.load(task, build(family, tmp_path, head))
    pixels = PixelMaker(recipe_of(engine._pipeline.image_processor, []))
    chosen = LABELS if task.startswith("zero-shot") else {}
    for name, size in SIZES.items():
        data = picture_of(size)
        asked = (
            lambda data=data: pixels(Image(data).pillow()),
            lambda data=data: engine([Image(data)], **chosen),
        )
        for ask in asked if name in REFUSED[case] else asked[:1]:
            tracemalloc.start()
            message = refusal(ask)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            if name in REFUSED[case]:
                assert message is not None, name
                assert f"{size[1]} x {size[0]} pixels" in message
                assert "scale it down" in message
                assert peak < 50e6
            else:
                assert message is None or "cannot be scaled" in message, name


def test_masks_of_many_classes_are_bounded_by_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    names = {place: f"class {place}" for place in range(150)}
    folder = build("segformer", tmp_path, "ForSemanticSegmentation", id2label=names)
    engine = torch_engine.load("image-segmentation", folder)
    assert refusal(lambda: engine([Image(picture_of((60, 80)))])) is None
    message = refusal(lambda: engine([Image(picture_of((1_000, 800)))]))
    assert message is not None
    assert "150 classes" in message
