"""Reads from transformers' image processor what it does, and holds our own result to its, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hf_lambda.onnx_engine.vision.contract import Recipe
from hf_lambda.onnx_engine.vision.pixels import PixelMaker

from ...protocol.records import Json
from ..request import NotPrepared

if TYPE_CHECKING:
    from PIL import Image
    from transformers import BaseImageProcessor

_KINDS = {"ConvNext": "crop_pct", "DPT": "multiple", "GLPN": "floor", "Yolos": "floored", "Donut": "page"}

_YOLOS_MULTIPLE = 16
"""A default of a function of transformers, which no processor overrides."""


def recipe_of(processor: BaseImageProcessor, pictures: Iterable[Image.Image]) -> Recipe:
    """The recipe of `processor`. Raises NotPrepared where some of `pictures` come out otherwise by it."""
    name = type(processor).__name__
    recipe = _read(processor)
    pixels = PixelMaker(recipe)
    for picture in pictures:
        wanted = processor(images=[picture], return_tensors="np")["pixel_values"][0]
        try:
            got = pixels(picture)
        except (KeyError, ValueError, ZeroDivisionError, TypeError) as problem:
            raise NotPrepared(
                f"{name} prepares images in a way that is not built here ({problem!r})"
            ) from problem
        if got.shape != wanted.shape or got.dtype != wanted.dtype or not np.array_equal(got, wanted):
            size = f"{picture.width} x {picture.height}"
            raise NotPrepared(f"{name} makes other pixels of an image of {size} than this library")
    return recipe


def _read(processor: BaseImageProcessor) -> Recipe:
    def get(name: str, default: Json) -> Json:
        value = getattr(processor, name, None)
        return default if value is None else value

    name = type(processor).__name__.removesuffix("Pil").removesuffix("ImageProcessor")
    kind = _KINDS.get(name, "plain")
    size = {key: int(value) for key, value in dict(get("size", {})).items() if value}
    crop = dict(get("crop_size", {})) if get("do_center_crop", False) else {}
    window = (int(crop["height"]), int(crop["width"])) if crop else None
    if kind == "crop_pct" and size.get("shortest_edge", 0) < 384:
        window = (size["shortest_edge"], size["shortest_edge"])
    std = tuple(float(value) for value in get("image_std", (1.0,) * 3))
    return Recipe(
        kind=kind,
        size=size,
        resize=bool(get("do_resize", False)),
        resample=int(get("resample", 2)),
        crop=window,
        crop_pct=float(get("crop_pct", 1.0)),
        multiple=_YOLOS_MULTIPLE if kind == "floored" else int(get("ensure_multiple_of", 1)),
        keep_aspect_ratio=bool(get("keep_aspect_ratio", False)),
        align_long_axis=bool(get("do_align_long_axis", False)),
        thumbnail=bool(get("do_thumbnail", False)),
        pad=kind == "page" and bool(get("do_pad", False)),
        size_divisor=int(get("size_divisor", 32)),
        bgr=bool(get("do_flip_channel_order", False)),
        rescale=bool(get("do_rescale", False)),
        rescale_factor=float(get("rescale_factor", 1 / 255)),
        offset=bool(get("rescale_offset", False)),
        normalize=bool(get("do_normalize", False)),
        mean=tuple(float(value) for value in get("image_mean", (0.0,) * 3)),
        std=std,
        top_std=std if name == "EfficientNet" and get("include_top", False) else None,
    )
