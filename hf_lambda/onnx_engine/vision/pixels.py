"""From a picture to a model's pixels, as transformers' image processors do it on Pillow, bit for bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...media.limits import check_scaled, too_small
from .contract import Recipe

if TYPE_CHECKING:
    import PIL.Image


class PixelMaker:
    """Follows one recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._table = recipe, _table(recipe)

    def __call__(self, image: PIL.Image.Image) -> NDArray[Any]:
        """(3, height, width) float32 of an RGB picture of Pillow's."""
        if self._recipe.kind == "page":
            image = self._page(image)
        elif self._recipe.resize:
            height, width = self.target(image.height, image.width)
            if not (height and width):
                raise too_small(image.width, image.height)
            self._check(image, (height, width))
            image = image.resize((width, height), self._recipe.resample)
        else:
            self._check(image, (image.height, image.width))
        values = np.asarray(image)
        if self._recipe.pad:
            values = _filled(values, self._recipe.size["height"], self._recipe.size["width"])
        if self._recipe.crop is not None:
            values = _cropped(values, *self._recipe.crop)
        if self._recipe.bgr:
            values = values[..., ::-1]
        result = np.empty((3, *values.shape[:2]), np.float32)
        for channel in range(3):
            np.take(self._table[channel], values[..., channel], out=result[channel])
        return result

    def _page(self, image: PIL.Image.Image) -> PIL.Image.Image:
        recipe = self._recipe
        tall, wide = recipe.size["height"], recipe.size["width"]
        if recipe.align_long_axis and (tall - wide) * (image.height - image.width) < 0:
            from PIL.Image import Transpose

            image = image.transpose(Transpose.ROTATE_270)  # clockwise: Pillow counts the other way round
        if recipe.resize:
            height, width = _shortest(min(tall, wide), image.height, image.width)
            check_scaled((image.height, image.width), (height, width), reads=None)
            image = image.resize((width, height), recipe.resample)
        if recipe.thumbnail and (image.height > tall or image.width > wide):
            height, width = min(image.height, tall), min(image.width, wide)
            if image.height > image.width:
                width = int(image.width * height / image.height)
            elif image.width > image.height:
                height = int(image.height * width / image.width)
            if not (height and width):
                raise too_small(image.width, image.height)
            image = image.resize((width, height), recipe.resample)
        return image

    def _check(self, image: PIL.Image.Image, scaled: tuple[int, int]) -> None:
        # A recipe with a longest edge has a bound of its own, and so has one that ends in a fixed size.
        is_open = not self._recipe.is_fixed and "longest_edge" not in self._recipe.size
        check_scaled((image.height, image.width), scaled, reads=scaled if is_open else None)

    def target(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that a picture of this size is resized to."""
        size = self._recipe.size
        if self._recipe.kind == "crop_pct":
            edge = size["shortest_edge"]
            whole = edge >= 384
            return (edge, edge) if whole else _shortest(int(edge / self._recipe.crop_pct), height, width)
        if self._recipe.kind == "multiple":
            return self._multiple(height, width)
        if self._recipe.kind == "floor":
            by = self._recipe.size_divisor
            return height // by * by, width // by * by
        if "shortest_edge" in size and "longest_edge" in size:
            tall, wide = _bounded(size["shortest_edge"], size["longest_edge"], height, width)
            by = self._recipe.multiple if self._recipe.kind == "floored" else 1
            return tall // by * by, wide // by * by
        if "shortest_edge" in size:
            return _shortest(size["shortest_edge"], height, width)
        return size["height"], size["width"]

    def _multiple(self, height: int, width: int) -> tuple[int, int]:
        by = self._recipe.multiple
        scale_h, scale_w = self._recipe.size["height"] / height, self._recipe.size["width"] / width
        if self._recipe.keep_aspect_ratio:
            scale_h = scale_w = scale_w if abs(1 - scale_w) < abs(1 - scale_h) else scale_h
        return round(scale_h * height / by) * by, round(scale_w * width / by) * by


def _table(recipe: Recipe) -> NDArray[Any]:
    """(3, 256) float32: what becomes of each value of each channel, by transformers' own operations."""
    values: NDArray[Any] = np.arange(256, dtype=np.uint8)
    if recipe.rescale:
        values = (values.astype(np.float64) * recipe.rescale_factor).astype(np.float32)
        if recipe.offset:
            values = values - np.float32(1)
    rows = np.stack([values] * 3).astype(np.float32)
    if recipe.normalize:
        mean, std = np.array(recipe.mean, np.float32), np.array(recipe.std, np.float32)
        rows = (rows - mean[:, None]) / std[:, None]
    if recipe.top_std is not None:
        rows = (rows - np.zeros((3, 1), np.float32)) / np.array(recipe.top_std, np.float32)[:, None]
    return rows


def _shortest(edge: int, height: int, width: int) -> tuple[int, int]:
    other = int(edge * max(height, width) / min(height, width))
    return (other, edge) if width <= height else (edge, other)


def _bounded(edge: int, longest: int, height: int, width: int) -> tuple[int, int]:
    """The shorter side at `edge`, or less where the longer one would come out above `longest`."""
    raw = None
    short, long = float(min(height, width)), float(max(height, width))
    if long / short * edge > longest:
        raw = longest * short / long
        edge = round(raw)
    if (height <= width and height == edge) or (width <= height and width == edge):
        return height, width
    exact = edge if raw is None else raw
    if width < height:
        return int(exact * height / width), edge
    return edge, int(exact * width / height)


def _filled(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """(h, w, 3) in the middle of (height, width, 3) black."""
    top, left = (height - values.shape[0]) // 2, (width - values.shape[1]) // 2
    page = np.zeros((height, width, 3), values.dtype)
    page[top : top + values.shape[0], left : left + values.shape[1]] = values
    return page


def _cropped(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The middle of (h, w, 3); what is smaller gets black around it first."""
    h, w = values.shape[:2]
    if h >= height and w >= width:
        top, left = (h - height) // 2, (w - width) // 2
        return values[top : top + height, left : left + width]
    tall, wide = max(h, height), max(w, width)
    padded = np.zeros((tall, wide, 3), values.dtype)
    y, x = math.ceil((tall - h) / 2), math.ceil((wide - w) / 2)
    padded[y : y + h, x : x + w] = values
    top, left = (h - height) // 2 + y, (w - width) // 2 + x
    return padded[max(0, top) : min(tall, top + height), max(0, left) : min(wide, left + width)]
