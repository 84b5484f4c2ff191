"""The gate: a candidate folder writes of the samples with the serving code, and is held to transformers."""

from __future__ import annotations

from pathlib import Path

from hf_lambda.onnx_engine.contract import read_contract
from hf_lambda.onnx_engine.generation.options import resolve
from hf_lambda.onnx_engine.vision.contract import ImageToTextContract
from hf_lambda.onnx_engine.vision.image_to_text import ImageEncoderDecoder

from ..request import PrepareRequest, Verdict
from ..seq2seq.check import ended, figures_of, forced_scores, is_tie, problem_of
from . import reference


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, by the figures of encoder-decoders of texts."""
    folder = work / precision
    contract = read_contract(folder)
    assert isinstance(contract, ImageToTextContract)
    expected = reference.read(work)
    model = ImageEncoderDecoder(folder, prepack=precision != "fp32")
    options = resolve(contract.generation, expected.options, max_position=contract.max_position)
    same, pairs = [], []
    for picture in expected.pictures:
        (got, *_), wanted = (
            model.generate(picture.pixels, options),
            ended(picture.tokens, options.eos_token_id),
        )
        is_same = got == wanted
        if not is_same and precision == "fp32":
            is_same = is_tie(model, picture.pixels, got, wanted, options, request.tolerance.fp32)
        same.append(is_same)
        if picture.scores is not None:
            along = picture.tokens[: len(picture.scores)]
            pairs.append((forced_scores(model, picture.pixels, along), picture.scores))
    figures = figures_of(same, pairs, precision)
    problem = problem_of(figures, precision, request.tolerance)
    return Verdict(figures, problem and f"{precision}: {problem}")
