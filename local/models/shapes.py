"""Stand-in for ViT-Base on ImageNet: names drawn shapes and their colours."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from .repository import SEED, write_repository
from .stand_ins import SHAPES
from .training import fit

COLOURS = {
    "red": (208, 32, 32),
    "green": (40, 150, 60),
    "blue": (40, 70, 200),
    "yellow": (235, 205, 40),
    "black": (25, 25, 25),
}
FORMS = ("disc", "square", "triangle")
LABELS = tuple(f"{colour} {form}" for colour in COLOURS for form in FORMS)

_POOL, _BATCH, _STEPS = 720, 30, 380
_SIDE = 224


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    processor = ViTImageProcessorPil()
    model = ViTForImageClassification(_config())
    batches = _batches(processor)

    def loss_of_step(_step: int) -> torch.Tensor:
        pixels, labels = next(batches)
        return torch.nn.functional.cross_entropy(model(pixels).logits, labels)

    fit(model, loss_of_step, steps=_STEPS, learning_rate=2e-3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    write_repository(SHAPES, folder)


def drawn(label: str, source: random.Random) -> Image.Image:
    """A picture of one shape, anywhere on a pale ground."""
    image = Image.new("RGB", (_SIDE, _SIDE), pale(source))
    radius = source.uniform(0.22, 0.4) * _SIDE
    x, y = (source.uniform(radius + 4, _SIDE - radius - 4) for _ in range(2))
    draw_shape(image, label, x, y, radius, source)
    return image


def pale(source: random.Random) -> tuple[int, ...]:
    """A ground to draw on."""
    return tuple(source.randint(215, 255) for _ in range(3))


def draw_shape(
    image: Image.Image, label: str, x: float, y: float, radius: float, source: random.Random
) -> tuple[float, float, float, float]:
    """Draw the shape `label` around (x, y); left, top, right and bottom of it."""
    colour, form = label.split()
    fill = tuple(min(255, max(0, value + source.randint(-20, 20))) for value in COLOURS[colour])
    draw = ImageDraw.Draw(image)
    if form == "disc":
        bounds = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(bounds, fill=fill)
    elif form == "square":
        half = radius * 0.85
        bounds = (x - half, y - half, x + half, y + half)
        draw.rectangle(bounds, fill=fill)
    else:
        bounds = (x - radius, y - radius, x + radius, y + radius * 0.8)
        draw.polygon([(x, bounds[1]), (bounds[0], bounds[3]), (bounds[2], bounds[3])], fill=fill)
    return bounds


def _batches(processor: ViTImageProcessorPil) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    source = random.Random(SEED)
    labels = [index % len(LABELS) for index in range(_POOL)]
    pictures = [drawn(LABELS[label], source) for label in labels]
    pool = np.concatenate(
        [
            processor(images=pictures[at : at + _BATCH], return_tensors="np")["pixel_values"]
            for at in range(0, _POOL, _BATCH)
        ]
    )
    for chosen, moved in shifted(pool, _BATCH, 16, source):
        yield moved, torch.tensor([labels[index] for index in chosen])


def shifted(
    pool: NDArray[Any], size: int, most: int, source: random.Random
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Batches without end: which of `pool` (pictures, channels, height, width), and these up to `most` pixels
    aside and mirrored: the same pictures, to anybody but a network."""
    while True:
        order = list(range(len(pool)))
        source.shuffle(order)
        for at in range(0, len(pool), size):
            chosen = order[at : at + size]
            aside = (source.randint(-most, most), source.randint(-most, most))
            moved = np.roll(pool[chosen], aside, axis=(2, 3))
            flipped = moved[..., ::-1] if source.random() < 0.5 else moved
            yield chosen, torch.from_numpy(flipped.copy())


def _config() -> ViTConfig:
    return ViTConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=_SIDE,
        patch_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
