"""Pictures become the very pixels that transformers' image processors make of them."""

from __future__ import annotations

import pytest
import transformers

from hf_lambda.onnx_engine.vision.contract import Recipe
from hf_lambda.onnx_engine.vision.pixels import PixelMaker
from tests.media_support import picture
from warmup.prepare.request import NotPrepared
from warmup.prepare.vision.recipe import recipe_of

PICTURES = [
    picture(*size, seed=seed) for seed, size in enumerate([(96, 128), (150, 91), (333, 250), (56, 400)])
]
SMALL = {"height": 64, "width": 64}
PROCESSORS = [
    ("Beit", {}),
    ("Bit", {}),
    ("Bit", {"size": {"shortest_edge": 256}}),
    ("Blip", {}),
    ("CLIP", {}),
    ("CLIP", {"do_center_crop": False, "size": SMALL}),
    ("ConvNext", {}),
    ("ConvNext", {"size": {"shortest_edge": 224}}),
    ("ConditionalDetr", {}),
    ("DPT", {}),
    ("DPT", {"size": SMALL, "keep_aspect_ratio": True, "ensure_multiple_of": 14}),
    ("DeiT", {}),
    ("Detr", {}),
    ("Detr", {"size": {"shortest_edge": 80, "longest_edge": 120}}),
    ("Donut", {"size": {"height": 160, "width": 120}}),
    ("Donut", {"size": {"height": 90, "width": 180}, "do_align_long_axis": True}),
    ("Donut", {"size": SMALL, "do_thumbnail": False, "do_pad": False}),
    ("EfficientNet", {}),
    ("EfficientNet", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("EfficientNet", {"include_top": False}),
    ("GLPN", {}),
    ("MobileNetV1", {}),
    ("MobileNetV2", {}),
    ("MobileViT", {}),
    ("MobileViT", {"do_flip_channel_order": False, "size": {"shortest_edge": 40}, "crop_size": SMALL}),
    ("RTDetr", {}),
    ("Segformer", {}),
    ("Siglip", {}),
    ("ViT", {}),
    ("ViT", {"resample": 3, "do_normalize": False}),
    ("ViT", {"do_rescale": False, "image_mean": [127] * 3, "image_std": [128] * 3}),
    ("Yolos", {}),
]


@pytest.mark.parametrize(("name", "options"), PROCESSORS)
def test_a_recipe_gives_the_same_pixels_bit_for_bit(name, options):
    processor = getattr(transformers, f"{name}ImageProcessorPil")(**options)
    recipe = recipe_of(processor, PICTURES)
    assert Recipe.from_json(recipe.to_json()) == recipe
    sizes = {PixelMaker(recipe)(each).shape for each in PICTURES}
    assert recipe.is_fixed == (len(sizes) == 1)


@pytest.mark.parametrize("name", ["Levit", "PoolFormer"])
def test_a_processor_that_does_more_is_refused_by_name(name):
    processor = getattr(transformers, f"{name}ImageProcessorPil")()
    with pytest.raises(NotPrepared) as refusal:
        recipe_of(processor, PICTURES)
    assert f"{name}ImageProcessorPil" in refusal.value.reason
