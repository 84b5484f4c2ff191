"""The gate: a candidate folder answers the samples through the serving code, and is held to transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.onnx_engine import open_encoder
from hf_lambda.onnx_engine.contract import MASK_INDEX_INPUT, EncoderContract
from hf_lambda.onnx_engine.encoder import Encoder, sigmoid, softmax
from hf_lambda.sentence_embedding import pool, read_embedder

from ..request import Figures, PrepareRequest, Tolerance, Verdict
from ..samples import samples_of
from . import reference

if TYPE_CHECKING:
    from tokenizers import Encoding


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, refused beyond the tolerance of `request`.

    All samples run together, in padded batches, while transformers ran them one by one: padding is checked
    with the rest.
    """
    folder = work / precision
    contract = EncoderContract.read(folder)
    expected = reference.read(work)
    encoder = open_encoder(contract, folder)
    encodings = _encodings(request, encoder)
    wanted_ids = [answer.encoding.input_ids for answer in expected]
    if [encoding.ids for encoding in encodings] != wanted_ids:
        return Verdict({}, "the served tokenizer splits a sample into other tokens")
    names = list(expected[0].outputs)
    extra = {MASK_INDEX_INPUT: _mask_index(contract, encodings)} if request.head == "masked-lm" else {}
    pairs = []
    for index, values in encoder.run(encodings, names, extra):
        for name, value in zip(names, values, strict=True):
            wanted = expected[index].outputs[name]
            pairs.append((value[: len(wanted)], wanted))  # what is longer is padding
    figures = _figures(request, contract, folder, pairs)
    problem = (
        _fp32_problem(figures, request.tolerance)
        if precision == "fp32"
        else _int8_problem(figures, request.tolerance)
    )
    return Verdict({"samples": len(expected), **figures}, problem and f"{precision}: {problem}")


def calibration_feeds(work: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """Every other sample as inputs of the graph, to find by what its activations look like."""
    contract = EncoderContract.read(work / "fp32")
    for answer in reference.read(work)[::2]:
        feed = {name: np.array([getattr(answer.encoding, name)]) for name in contract.inputs}
        if contract.head == "masked-lm":
            feed[MASK_INDEX_INPUT] = np.zeros((1, 1), np.int64)
        yield feed


def _encodings(request: PrepareRequest, encoder: Encoder) -> list[Encoding]:
    """The samples as serving splits them."""
    samples = samples_of(request, encoder.contract.tokenizer.mask_token)
    return encoder.encode(samples, max_length=reference.max_tokens(encoder.contract.max_length))


def _mask_index(contract: EncoderContract, encodings: Sequence[Encoding]) -> list[list[int]]:
    mask = contract.tokenizer.mask_id
    return [[at for at, token in enumerate(encoding.ids) if token == mask] for encoding in encodings]


def _figures(
    request: PrepareRequest,
    contract: EncoderContract,
    folder: Path,
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> dict[str, float]:
    """Largest differences over all samples; `same_labels` is the share of labels that are the same."""
    raw = max(float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max())) for got, wanted in pairs)
    figures = {"raw_difference": round(raw, 8)}
    if request.head == "feature-extraction":
        vectors: list[Callable[[NDArray[Any]], NDArray[Any]]] = [
            partial(pool, mode=mode) for mode in _pooled(contract)
        ]
        if contract.embedding is not None and contract.embedding_problem is None:
            vectors.append(read_embedder(contract.embedding, folder).vector)
        cosines = [_cosine(vector(got), vector(wanted)) for got, wanted in pairs for vector in vectors]
        return {**figures, "cosine": round(min(cosines), 6)}
    differences, same = [], []
    for got, wanted in pairs:
        first, second = (_probabilities(contract, value) for value in (got, wanted))
        differences.append(float(np.abs(first - second).max()))
        same += _same_labels(first, second, request.tolerance.probability)
    return {
        **figures,
        "probability_difference": round(max(differences), 8),
        "same_labels": round(sum(same) / len(same), 6),
    }


def _pooled(contract: EncoderContract) -> tuple[str, str]:
    """The vectors that users may take of any model; the first token of a causal one has read no text."""
    return ("mean", "lasttoken") if contract.is_causal else ("mean", "cls")


def _probabilities(contract: EncoderContract, raw: NDArray[Any]) -> NDArray[Any]:
    """(labels,), (tokens, labels), (tokens,) or (masks, vocabulary), as the head's pipeline takes them."""
    one = len(contract.labels) == 1 or contract.problem_type == "multi_label_classification"
    if contract.head == "sequence-classification" and one and contract.problem_type == "regression":
        return raw
    scores: NDArray[Any] = (
        sigmoid(raw) if contract.head == "sequence-classification" and one else softmax(raw)
    )
    return scores


def _same_labels(got: NDArray[Any], wanted: NDArray[Any], undecided: float) -> list[bool]:
    """Per row whether the best label is the same. Where transformers itself is undecided - another label
    within `undecided` of its best, so that a permitted change may turn it - that label is as good."""
    got, wanted = np.atleast_2d(got), np.atleast_2d(wanted)
    rows = np.arange(len(got))
    chosen = wanted[rows, got.argmax(axis=-1)]
    return [bool(value) for value in chosen >= wanted.max(axis=-1) - undecided]


def _fp32_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    for name in ("raw_difference", "probability_difference"):
        if not figures.get(name, 0.0) <= tolerance.fp32:
            return f"{name} {figures[name]:.2g}, allowed {tolerance.fp32:g}"
    return None


def _int8_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    if not figures.get("cosine", 1.0) >= tolerance.cosine:
        return f"cosine {figures['cosine']:.4f}, at least {tolerance.cosine:g} is asked"
    if not figures.get("probability_difference", 0.0) <= tolerance.probability:
        given = figures["probability_difference"]
        return f"a probability differs by {given:.3f}, allowed {tolerance.probability:g}"
    if figures.get("same_labels", 1.0) < 1.0:
        return f"only {figures['same_labels']:.1%} of the labels are the same"
    return None


def _cosine(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))
