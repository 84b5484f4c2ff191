"""The gate: a candidate folder answers the samples through the serving code, and is held to transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.onnx_engine.contract import read_contract
from hf_lambda.onnx_engine.encoder import sigmoid, softmax
from hf_lambda.onnx_engine.vision.classification import applied
from hf_lambda.onnx_engine.vision.contract import VisionContract
from hf_lambda.onnx_engine.vision.detection import detected
from hf_lambda.onnx_engine.vision.model import VisionModel

from ..request import Figures, PrepareRequest, Tolerance, Verdict
from . import reference, zero_shot
from .samples import pictures_of

_UNORDERED = ("d_fine", "rt_detr")
"""Families that choose their queries by score: which of two equals comes first is a matter of rounding."""
_SHARE = 1000.0
"""Boxes are shares of a picture; a thousand pixels make its differences pixels."""
SAME_PIXELS = 0.99
"""int8: smallest share of a segmentation's pixels that keep their class."""


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, refused beyond the tolerance of `request`."""
    if request.head == "zero-shot-image-classification":
        return zero_shot.check(request, work, precision)
    folder = work / precision
    contract = read_contract(folder)
    assert isinstance(contract, VisionContract)
    expected = reference.read(work)
    answers = list(VisionModel(contract, folder).run(pictures_of(request)))
    pairs = [
        {name: (value, wanted[name]) for name, value in zip(contract.outputs, values, strict=True)}
        for (_, values), wanted in zip(answers, expected, strict=True)
    ]
    for pair in pairs:
        for name, (got, wanted) in pair.items():
            if got.shape != wanted.shape:
                return Verdict({}, f"{precision}: {name} has the shape {got.shape}, not {wanted.shape}")
    figures = {
        "samples": len(pairs),
        **_FIGURES[request.head](contract, pairs, [size for size, _ in answers]),
    }
    if precision == "fp32":
        if contract.model_type not in _UNORDERED:
            figures["raw_difference"] = round(max(map(_raw, pairs)), 8)
        problem = _fp32_problem(figures, request.tolerance)
    else:
        problem = _int8_problem(figures, request.tolerance)
    return Verdict(figures, problem and f"{precision}: {problem}")


def calibration_feeds(work: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """Every other sample as input of the graph, to find by what its activations look like."""
    for sample in reference.read(work)[::2]:
        yield {"pixel_values": sample["pixel_values"][None]}


Pairs = list[dict[str, tuple[NDArray[Any], NDArray[Any]]]]
Sizes = list[tuple[int, int]]


def _raw(pair: dict[str, tuple[NDArray[Any], NDArray[Any]]]) -> float:
    """Largest difference of an output, relative to max(1, its largest value)."""
    return max(
        float(np.abs(got - wanted).max() / max(1.0, float(np.abs(wanted).max())))
        for got, wanted in pair.values()
    )


def _classes(contract: VisionContract, pairs: Pairs, sizes: Sizes) -> dict[str, float]:
    differences, same = [], []
    for pair in pairs:
        got, wanted = (
            applied(raw, None, contract.problem_type, len(contract.labels)) for raw in pair["logits"]
        )
        differences.append(float(np.abs(got - wanted).max()))
        # Where transformers is undecided itself, another label within its indecision is as good.
        same.append(bool(wanted[got.argmax()] >= wanted.max() - 2 * differences[-1] - 1e-9))
    return {
        "probability_difference": round(max(differences), 8),
        "same_labels": round(sum(same) / len(same), 6),
    }


def _features(contract: VisionContract, pairs: Pairs, sizes: Sizes) -> dict[str, float]:
    return {"cosine": round(min(_cosine(*values) for pair in pairs for values in pair.values()), 8)}


def _objects(contract: VisionContract, pairs: Pairs, sizes: Sizes) -> dict[str, float]:
    """Detections above half of transformers' best are matched as sets: the order of ties is nobody's."""
    missed, differences, apart = 0, [0.0], [0.0]
    for pair in pairs:
        (logits, logits_), (boxes, boxes_) = pair["logits"], pair["pred_boxes"]
        shares = (softmax(logits_)[:, :-1] if contract.rule == "softmax" else sigmoid(logits_)).max()
        threshold = float(shares) / 2
        size = (int(_SHARE), int(_SHARE))
        wanted = detected(logits_, boxes_, size, contract.rule, threshold)
        found = detected(logits, boxes, size, contract.rule, threshold * 0.8)
        for score, label, box in wanted:
            rest = [
                (max(abs(a - b) for a, b in zip(box, other[2], strict=True)), other)
                for other in found
                if other[1] == label
            ]
            distance, nearest = min(
                rest, key=lambda each: (each[0], abs(each[1][0] - score)), default=(2 * _SHARE, None)
            )
            if nearest is None or distance > _SHARE / 50:
                missed += 1
                continue
            apart.append(distance / _SHARE)
            differences.append(abs(nearest[0] - score))
    return {
        "probability_difference": round(max(differences), 8),
        "box_difference": round(max(apart), 6),
        "missed": missed,
    }


def _pixels(contract: VisionContract, pairs: Pairs, sizes: Sizes) -> dict[str, float]:
    shares = [
        float((got.argmax(axis=0) == wanted.argmax(axis=0)).mean())
        for got, wanted in (p["logits"] for p in pairs)
    ]
    return {"same_pixels": round(min(shares), 6)}


def _depth(contract: VisionContract, pairs: Pairs, sizes: Sizes) -> dict[str, float]:
    """Largest mean difference, relative to the mean depth."""
    values = [pair["predicted_depth"] for pair in pairs]
    errors = [float(np.abs(got - wanted).mean() / max(np.abs(wanted).mean(), 1e-9)) for got, wanted in values]
    return {"depth_difference": round(max(errors), 8)}


_FIGURES: dict[str, Callable[[VisionContract, Pairs, Sizes], dict[str, float]]] = {
    "image-classification": _classes,
    "image-feature-extraction": _features,
    "object-detection": _objects,
    "image-segmentation": _pixels,
    "depth-estimation": _depth,
}


def _fp32_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    for name in ("raw_difference", "probability_difference"):
        if not figures.get(name, 0.0) <= tolerance.fp32:
            return f"{name} {figures[name]:.2g}, allowed {tolerance.fp32:g}"
    if figures.get("missed"):
        return f"{figures['missed']} objects are not found, or elsewhere"
    return None


def _int8_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    if not figures.get("cosine", 1.0) >= tolerance.cosine:
        return f"cosine {figures['cosine']:.4f}, at least {tolerance.cosine:g} is asked"
    for name, most in (
        ("probability_difference", tolerance.probability),
        ("depth_difference", tolerance.probability),
    ):
        if not figures.get(name, 0.0) <= most:
            return f"{name} {figures[name]:.3f}, allowed {most:g}"
    if figures.get("same_labels", 1.0) < 1.0:
        return f"only {figures['same_labels']:.1%} of the labels are the same"
    if figures.get("missed"):
        return f"{figures['missed']} objects are not found, or elsewhere"
    if not figures.get("same_pixels", 1.0) >= SAME_PIXELS:
        return f"{figures['same_pixels']:.1%} of the pixels keep their class, {SAME_PIXELS:.0%} are asked"
    return None


def _cosine(first: NDArray[Any], second: NDArray[Any]) -> float:
    one, two = first.ravel().astype(np.float64), second.ravel().astype(np.float64)
    return float(one @ two / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-12))
