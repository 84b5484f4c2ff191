"""The gate: a candidate folder hears the samples through the serving code, and is held to transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.onnx_engine.contract import read_contract
from hf_lambda.onnx_engine.generation.encoder_decoder import SpeechEncoderDecoder
from hf_lambda.onnx_engine.session import open_session
from hf_lambda.onnx_engine.sound.classification import scores
from hf_lambda.onnx_engine.sound.contract import CtcRules, SoundContract, WhisperRules
from hf_lambda.onnx_engine.sound.ctc import letters, text_of
from hf_lambda.onnx_engine.sound.whisper import WhisperRecognition, read_call
from hf_lambda.onnx_engine.tokenizer import load_tokenizer

from ..request import Figures, NotPrepared, PrepareRequest, Verdict
from ..seq2seq.check import (
    difference,
    ended,
    figures_of,
    forced_scores,
    fp32_problem,
    int8_problem,
    is_tie,
    problem_of,
)
from . import reference
from .reference import Answer

Pairs = list[tuple[NDArray[Any], NDArray[Any]]]


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, refused beyond the tolerance of `request`."""
    folder = work / precision
    contract = read_contract(folder)
    assert isinstance(contract, SoundContract)
    expected = reference.read(work)
    if contract.whisper is not None:
        figures = _whisper(request, folder, precision, contract, contract.whisper, expected)
        problem = problem_of(figures, precision, request.tolerance)
    else:
        session = open_session(folder / "model.onnx")
        pairs: Pairs = []
        for answer in expected:
            (logits,) = session.run(["logits"], {"features": answer.features[None]})
            assert answer.logits is not None
            pairs.append((logits[0], answer.logits))
        figures, problem = _network(request, contract, pairs, precision)
    return Verdict(figures, problem and f"{precision}: {problem}")


def calibration_feeds(work: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """Every other sample as input of the graph, to find by what its activations look like."""
    for answer in reference.read(work)[::2]:
        yield {"features": answer.features[None]}


def check_options(request: PrepareRequest, contract: SoundContract) -> None:
    """Raises NotPrepared where a Whisper ships generation options that the decoding loop does not have."""
    assert contract.whisper is not None
    try:
        read_call({}, contract.whisper)
    except (BadRequest, Unprocessable) as error:
        raise NotPrepared(f"{request.repo_id} ships what the decoding loop does not do: {error}") from error


def _network(
    request: PrepareRequest, contract: SoundContract, pairs: Pairs, precision: str
) -> tuple[Figures, str | None]:
    figures = {
        "samples": len(pairs),
        **(_letters(contract.ctc, pairs) if contract.ctc is not None else _labels(contract, pairs)),
    }
    tolerance = request.tolerance
    if precision == "fp32":
        figures["score_difference"] = float(f"{difference(pairs, precision):.3g}")
        return figures, fp32_problem({"same_text": 1.0, **figures}, tolerance)
    if contract.ctc is not None:
        return figures, int8_problem(figures, tolerance)
    if not figures["probability_difference"] <= tolerance.probability:
        allowed = f"allowed {tolerance.probability:g}"
        return figures, f"probability_difference {figures['probability_difference']:.3f}, {allowed}"
    if figures["same_labels"] < 1.0:
        return figures, f"only {figures['same_labels']:.1%} of the labels are the same"
    return figures, None


def _labels(contract: SoundContract, pairs: Pairs) -> dict[str, float]:
    differences, same = [], []
    for got, wanted in ((scores(one, None, contract), scores(other, None, contract)) for one, other in pairs):
        differences.append(float(np.abs(got - wanted).max()))
        # Where transformers is undecided itself, another label within its indecision is as good.
        same.append(bool(wanted[got.argmax()] >= wanted.max() - 2 * differences[-1] - 1e-9))
    return {
        "probability_difference": round(max(differences), 8),
        "same_labels": round(sum(same) / len(same), 6),
    }


def _letters(rules: CtcRules, pairs: Pairs) -> dict[str, float]:
    texts = [
        tuple(text_of(letters(logits.argmax(-1).tolist(), rules), rules) for logits in pair) for pair in pairs
    ]
    best = np.concatenate([got.argmax(-1) == wanted.argmax(-1) for got, wanted in pairs])
    return {
        "same_text": round(sum(one == other for one, other in texts) / len(texts), 4),
        "same_choice": round(float(best.mean()), 4),
    }


def _whisper(
    request: PrepareRequest,
    folder: Path,
    precision: str,
    contract: SoundContract,
    rules: WhisperRules,
    expected: Sequence[Answer],
) -> Figures:
    """What is written greedily, and the scores along what transformers wrote."""
    # Copies of all fp32 matrices would not fit into the warm-up's memory for the larger models.
    model = SpeechEncoderDecoder(folder, prepack=precision != "fp32")
    engine = WhisperRecognition(model, contract.recipe, rules, load_tokenizer(folder))
    new = min(reference.NEW_TOKENS, rules.positions // 2)
    call = read_call({"num_beams": 1, "max_new_tokens": new}, rules)
    same = []
    for answer in expected:
        encoded = model.encode([answer.features])
        prompt = tuple(engine.prompt(call, encoded, timestamps=False))
        options = engine.options_of_window(call, prompt, rules.positions, None)
        got = [*prompt, *engine.generate(encoded, options)]
        wanted = ended(answer.tokens, options.eos_token_id)
        is_same = got == wanted
        if not is_same and precision == "fp32" and got[: len(prompt)] == wanted[: len(prompt)]:
            is_same = is_tie(model, answer.features, got, wanted, options, request.tolerance.fp32)
        same.append(is_same)
    pairs = [
        (forced_scores(model, answer.features, answer.tokens[: len(answer.logits)]), answer.logits)
        for answer in expected
        if answer.logits is not None
    ]
    return figures_of(same, pairs, precision)
