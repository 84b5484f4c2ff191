"""The gate: a candidate folder answers the samples through the serving code, and is held to transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hf_lambda.onnx_engine.contract import Contract
from hf_lambda.onnx_engine.encoder import Encoder
from hf_lambda.onnx_engine.scores import sigmoid, softmax

from ..plan import Disagreement, Plan, Tolerance
from ..samples import samples_of
from . import reference


def gate(plan: Plan, work: Path, precision: str) -> dict[str, Any]:
    """Agreement of `<work>/<precision>` with transformers: `{"<precision>": {figures}}`.

    All samples run together, in padded batches, while transformers ran them one by one: padding is checked
    with the rest. Raises Disagreement where a figure is beyond the tolerance of `plan`.
    """
    folder = work / precision
    contract = Contract.read(folder)
    expected = list(reference.read(work))
    encoder = Encoder(contract, folder)
    encodings = _encodings(plan, encoder, [encoding for encoding, _ in expected])
    names = list(expected[0][1])
    extra = {"positions": _masks(contract, encodings)} if plan.head == "masked-lm" else {}
    pairs = []
    for index, values in encoder.run(encodings, names, extra):
        for name, value in zip(names, values, strict=True):
            wanted = expected[index][1][name]
            pairs.append((value[: len(wanted)], wanted))  # what is longer is padding
    figures = _figures(plan, contract, pairs)
    problem = _exact(figures, plan.tolerance) if precision == "fp32" else _close(figures, plan.tolerance)
    agreement = {precision: {"samples": len(expected), **figures}}
    if problem:
        raise Disagreement(f"{precision}: {problem}", agreement)
    return agreement


def feeds_of(work: Path) -> Iterator[dict[str, Any]]:
    """Every other sample as inputs of the graph, to find by what its activations look like."""
    contract = Contract.read(work / "fp32")
    for encoding, _ in list(reference.read(work))[::2]:
        feed = {name: np.array([encoding[name]]) for name in contract.inputs}
        if contract.head == "masked-lm":
            feed["positions"] = np.zeros((1, 1), np.int64)
        yield feed


def _masks(contract: Contract, encodings: list[Any]) -> list[list[int]]:
    mask = contract.tokenizer["mask_id"]
    return [[at for at, token in enumerate(encoding.ids) if token == mask] for encoding in encodings]


def _encodings(plan: Plan, encoder: Encoder, expected: list[dict[str, list[int]]]) -> list[Any]:
    """The samples as serving splits them. Raises Disagreement where transformers has other tokens."""
    mask = encoder.contract.tokenizer.get("mask_token")
    limit = min(encoder.contract.max_length or 512, 512)
    samples = [tuple(s) if isinstance(s, list) else s for s in samples_of(plan, mask)]
    encodings = encoder.encode(samples, max_length=limit)
    for encoding, wanted in zip(encodings, expected, strict=True):
        if encoding.ids != wanted["input_ids"]:
            raise Disagreement("the served tokenizer splits a sample into other tokens", {})
    return encodings


def _figures(plan: Plan, contract: Contract, pairs: list[Any]) -> dict[str, float]:
    """Largest differences over all samples; `same` is the share of labels that are the same."""
    raw = max(float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max())) for got, wanted in pairs)
    figures = {"raw_difference": round(raw, 8)}
    if plan.head == "feature-extraction":
        cosines = [_cosine(pool(got), pool(wanted)) for got, wanted in pairs for pool in (_mean, _first)]
        return {**figures, "cosine": round(min(cosines), 6)}
    differences, same = [], []
    for got, wanted in pairs:
        first, second = (_probabilities(plan, contract, value) for value in (got, wanted))
        differences.append(float(np.abs(first - second).max()))
        same += _same_labels(first, second, plan.tolerance.probability)
    return {
        **figures,
        "probability_difference": round(max(differences), 8),
        "same_labels": round(sum(same) / len(same), 6),
    }


def _probabilities(plan: Plan, contract: Contract, raw: Any) -> Any:
    """(labels,), (tokens, labels), (tokens,) or (masks, vocabulary), as the head's pipeline takes them."""
    one = len(contract.labels) == 1 or contract.problem_type == "multi_label_classification"
    if plan.head == "sequence-classification" and one:
        return raw if contract.problem_type == "regression" else sigmoid(raw)
    return softmax(raw)


def _same_labels(got: Any, wanted: Any, undecided: float) -> list[bool]:
    """Per row whether the best label is the same. Where transformers itself is undecided - another label
    within `undecided` of its best, so that a permitted change may turn it - that label is as good."""
    got, wanted = np.atleast_2d(got), np.atleast_2d(wanted)
    rows = np.arange(len(got))
    chosen = wanted[rows, got.argmax(axis=-1)]
    return [bool(value) for value in chosen >= wanted.max(axis=-1) - undecided]


def _exact(figures: dict[str, float], tolerance: Tolerance) -> str | None:
    for name in ("raw_difference", "probability_difference"):
        if not figures.get(name, 0.0) <= tolerance.fp32:
            return f"{name} {figures[name]:.2g}, allowed {tolerance.fp32:g}"
    return None


def _close(figures: dict[str, float], tolerance: Tolerance) -> str | None:
    if not figures.get("cosine", 1.0) >= tolerance.cosine:
        return f"cosine {figures['cosine']:.4f}, at least {tolerance.cosine:g} is asked"
    if not figures.get("probability_difference", 0.0) <= tolerance.probability:
        given = figures["probability_difference"]
        return f"a probability differs by {given:.3f}, allowed {tolerance.probability:g}"
    if figures.get("same_labels", 1.0) < 1.0:
        return f"only {figures['same_labels']:.1%} of the labels are the same"
    return None


def _cosine(first: Any, second: Any) -> float:
    return float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))


def _mean(hidden: Any) -> Any:
    return hidden.mean(axis=0)


def _first(hidden: Any) -> Any:
    return hidden[0]
