"""Stand-in for YOLOS on COCO: finds drawn shapes, at most one of each colour, and says what they are.

Its transformer is constructed. A detection token looks for one colour: each of its heads goes to the patch of
that colour that lies farthest in one of eight directions, and brings back where that is. What shape that is,
and its box, two small networks have learned from these places.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil
from transformers.models.yolos.modeling_yolos import YolosLayer

from .repository import SEED, write_repository
from .shapes import COLOURS, LABELS, draw_shape, pale
from .stand_ins import SCENES
from .training import fit

_SIDE, _PATCH = 96, 4
_PATCHES = _SIDE // _PATCH
_WIDTH, _HEADS, _HEAD = 96, 8, 12
_PICTURES, _BATCH, _STEPS = 640, 256, 1800

# What a token says: each number has two places of the token, one for it and one for its negative, so that the
# mean is 0; beside the constant all are small, so that a layer norm leaves them as they are.
_CONSTANT, _RED, _COLOUR, _X, _Y, _IS_PATCH, _WANTED, _FOUND = 0, 1, 4, 9, 10, 11, 12, 17
_LARGE = 64.0
_SHARPNESS = 40.0
"""Of the steps that the feed-forward layer makes of a colour."""
_TO_COLOUR, _TO_EDGE = 90.0, 40.0
"""How much more a patch of the colour draws a head than others, and how much more one at its edge."""

_TESTS: dict[str, tuple[tuple[float, float, float], float]] = {
    "red": ((1, -1, 0), 0.36),
    "green": ((-0.9, 1, -0.3), 0.17),
    "blue": ((-1, 0, 1), 0.32),
    "yellow": ((0.5, 0.5, -1), 0.4),
    "black": ((-1 / 3, -1 / 3, -1 / 3), -0.21),
}
"""A patch has a colour where the sum of its red, green and blue, times these, is above the threshold."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom, as shares of the picture."""


@dataclass(frozen=True)
class Shape:
    label: str
    box: Box


def build(folder: Path) -> None:
    """Make it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    processor = YolosImageProcessorPil(
        size={"height": _SIDE, "width": _SIDE}, do_pad=False, image_mean=[0.0] * 3, image_std=[1.0] * 3
    )
    model = YolosForObjectDetection(_config()).eval()
    with torch.no_grad():
        for parameter in model.vit.parameters():
            parameter.zero_()
        _embed(model)
        _tell_colours(model.vit.encoder.layer[0])
        _look_around(model.vit.encoder.layer[1])
        norms = [each for each in model.vit.modules() if isinstance(each, torch.nn.LayerNorm)]
        for norm in norms:
            norm.weight.fill_(_LARGE / math.sqrt(_WIDTH / 2))
        model.vit.layernorm.weight *= 5  # what tells shapes apart are small differences
        model.vit.layernorm.weight[2 * _CONSTANT : 2 * _CONSTANT + 2] = 0  # it has done what it is for
        for head in (model.class_labels_classifier, model.bbox_predictor):
            for linear in head.layers:
                torch.nn.init.kaiming_normal_(linear.weight)
    _learn_shapes(model, processor)
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    write_repository(SCENES, folder)


def drawn(source: random.Random, side: int = _SIDE) -> tuple[Image.Image, list[Shape]]:
    """A picture of one to three shapes of different colours that do not touch, and what is where."""
    image = Image.new("RGB", (side, side), pale(source))
    shapes: list[Shape] = []
    circles: list[tuple[float, float, float]] = []
    count = source.randint(1, 3)
    colours = source.sample([*COLOURS], count)
    for _ in range(50):
        radius = source.uniform(0.12, 0.4 if count == 1 else 0.22)
        x, y = (source.uniform(radius + 0.02, 0.98 - radius) for _ in range(2))
        is_apart = all(
            max(abs(x - other_x), abs(y - other_y)) > radius + other + 0.02
            for other_x, other_y, other in circles
        )
        if is_apart:
            label = source.choice([each for each in LABELS if each.startswith(colours[len(shapes)])])
            left, top, right, bottom = draw_shape(image, label, x * side, y * side, radius * side, source)
            shapes.append(Shape(label, (left / side, top / side, right / side, bottom / side)))
            circles.append((x, y, radius))
        if len(shapes) == count:
            break
    return image, shapes


def _put(row: torch.Tensor, number: int, value: float | torch.Tensor) -> None:
    """Write a number of a token, or what makes it, at both of its places."""
    row[..., 2 * number], row[..., 2 * number + 1] = value, -value


def _embed(model: YolosForObjectDetection) -> None:
    """Patches: their mean colour and their place. Detection tokens: the colour that they look for."""
    embeddings = model.vit.embeddings
    for channel in range(3):
        weight = embeddings.patch_embeddings.projection.weight
        for place, sign in ((2 * (_RED + channel), 1), (2 * (_RED + channel) + 1, -1)):
            weight[place, channel] = sign / _PATCH**2
    position = embeddings.position_embeddings[0]
    _put(position, _CONSTANT, _LARGE)
    patches = position[1 : 1 + _PATCHES**2]
    middles = (torch.arange(_PATCHES) + 0.5) / _PATCHES
    _put(patches, _X, middles.repeat(_PATCHES))
    _put(patches, _Y, middles.repeat_interleave(_PATCHES))
    _put(patches, _IS_PATCH, 1.0)
    for colour in range(len(COLOURS)):
        _put(embeddings.detection_tokens[0, colour], _WANTED + colour, 1.0)


def _tell_colours(layer: YolosLayer) -> None:
    """The first layer's feed-forward network: whether a patch has a colour, from 0 to 1."""
    steps, output = layer.intermediate.dense, layer.output.dense
    for number, name in enumerate(COLOURS):
        factors, threshold = _TESTS[name]
        for step, (offset, sign) in enumerate(((0.5, 1), (-0.5, -1))):
            unit = 2 * number + step
            for channel, factor in enumerate(factors):
                steps.weight[unit, 2 * (_RED + channel)] = _SHARPNESS * factor * _STEEPNESS
            # What is no patch has no colour: it would be black.
            steps.weight[unit, 2 * _IS_PATCH] = _SHARPNESS * _NO_PATCH
            steps.bias[unit] = _SHARPNESS * (offset - threshold * _STEEPNESS - _NO_PATCH)
            place = 2 * (_COLOUR + number)
            output.weight[place, unit] = sign / _SHARPNESS
            output.weight[place + 1, unit] = -sign / _SHARPNESS


_STEEPNESS = 10.0
"""A tenth above the threshold is surely the colour."""
_NO_PATCH = 6.0
"""How far what is no patch is from having a colour."""


def _look_around(layer: YolosLayer) -> None:
    """The second layer's attention: where the colour that is looked for ends, in eight directions."""
    attention, output = layer.attention.attention, layer.attention.output.dense
    for head in range(_HEADS):
        first, angle = head * _HEAD, 2 * math.pi * head / _HEADS
        for number in range(len(COLOURS)):
            attention.key.weight[first + number, 2 * (_COLOUR + number)] = 1
            wanted = 2 * (_WANTED + number)
            attention.query.weight[first + number, wanted] = _TO_COLOUR * math.sqrt(_HEAD)
            for axis, share in ((5, math.cos(angle)), (6, math.sin(angle))):
                attention.query.weight[first + axis, wanted] = _TO_EDGE * math.sqrt(_HEAD) * share
            attention.value.weight[first + 2, 2 * (_COLOUR + number)] = 1
        for axis, number in ((5, _X), (6, _Y)):
            attention.key.weight[first + axis, 2 * number] = 1
            attention.value.weight[first + axis - 5, 2 * number] = 1
        for part in range(3):
            place = 2 * (_FOUND + 3 * head + part)
            output.weight[place, first + part], output.weight[place + 1, first + part] = 1, -1


def _learn_shapes(model: YolosForObjectDetection, processor: YolosImageProcessorPil) -> None:
    """Train the two networks behind the transformer on what it says of drawn pictures."""
    source = random.Random(SEED)
    states, classes, boxes = [], [], []
    for _ in range(0, _PICTURES, 8):
        scenes = [drawn(source) for _ in range(8)]
        pixels = processor(images=[image for image, _ in scenes], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            states.append(model.vit(pixels).last_hidden_state[:, -len(COLOURS) :])
        for _, shapes in scenes:
            by_colour = {shape.label.split()[0]: shape for shape in shapes}
            for colour in COLOURS:
                shape = by_colour.get(colour)
                left, top, right, bottom = shape.box if shape else (0, 0, 0, 0)
                classes.append(LABELS.index(shape.label) if shape else len(LABELS))
                boxes.append([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
    inputs, labels, wanted = torch.cat(states).flatten(0, 1), torch.tensor(classes), torch.tensor(boxes)
    heads = torch.nn.ModuleList([model.class_labels_classifier, model.bbox_predictor])

    def loss_of_step(_step: int) -> torch.Tensor:
        chosen = torch.randint(len(inputs), (_BATCH,))
        some, label = inputs[chosen], labels[chosen]
        is_there = label < len(LABELS)
        found = model.bbox_predictor(some[is_there]).sigmoid()
        distance = (found - wanted[chosen][is_there]).abs().mean()
        entropy = torch.nn.functional.cross_entropy(model.class_labels_classifier(some), label)
        return torch.as_tensor(entropy + 20 * distance)

    fit(heads, loss_of_step, steps=_STEPS, learning_rate=3e-3)


def _config() -> YolosConfig:
    return YolosConfig(
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=_HEADS,
        intermediate_size=2 * len(COLOURS),
        image_size=[_SIDE, _SIDE],
        patch_size=_PATCH,
        num_detection_tokens=len(COLOURS),
        use_mid_position_embeddings=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
