"""The gate for generation: a candidate folder generates with the serving code, held to transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from hf_lambda.onnx_engine.contract import Seq2SeqContract
from hf_lambda.onnx_engine.generation.decoder import Decoder
from hf_lambda.onnx_engine.generation.encoder_decoder import Encoded, EncoderDecoder
from hf_lambda.onnx_engine.generation.options import Options, resolve
from hf_lambda.onnx_engine.generation.processors import log_softmax

from ..request import Figures, PrepareRequest, Tolerance, Verdict
from . import reference
from .reference import Reference

SAME_CHOICE = 0.9
"""int8: smallest share of tokens that score best on both sides, given the same tokens before them.

Not asked for where `same_text` is 0: then nothing is, as a benchmark of random weights needs it.
"""


Source = TypeVar("Source", contravariant=True)


class Encodes(Protocol[Source]):
    """An encoder-decoder of texts or of sound."""

    @property
    def decoder(self) -> InferenceSession: ...

    def encode(self, sources: Sequence[Source]) -> Encoded: ...


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, refused beyond the tolerance of `request`.

    same_text: share of samples that generate the very same tokens (fp32: or as likely ones, see `is_tie`);
    same_choice and score_difference: along transformers' own answers, token by token, the share of equal
    best tokens and the scores' difference (fp32: the largest, relative to the largest score; int8: the mean,
    relative to their spread).
    """
    folder = work / precision
    contract = Seq2SeqContract.read(folder)
    expected = reference.read(work)
    # Copies of all fp32 matrices would not fit into the warm-up's memory for the larger models.
    model = EncoderDecoder(folder, contract.pad_id, prepack=precision != "fp32")
    options = resolve(contract.generation, expected.options, max_position=contract.max_position)
    same = []
    for source, answer, generated in zip(
        expected.sources, model.generate(expected.sources, options), expected.generated, strict=True
    ):
        wanted = ended(generated, options.eos_token_id)
        is_same = answer[0] == wanted
        if not is_same and precision == "fp32":
            is_same = is_tie(model, source, answer[0], wanted, options, request.tolerance.fp32)
        same.append(is_same)
    figures = figures_of(same, _scores_along(model, expected), precision)
    problem = problem_of(figures, precision, request.tolerance)
    return Verdict(figures, problem and f"{precision}: {problem}")


def ended(tokens: list[int], eos: tuple[int, ...]) -> list[int]:
    """`tokens` up to the first end of sequence; the start token may be one."""
    ends = [place for place, token in enumerate(tokens) if place and token in eos]
    return tokens[: ends[0] + 1] if ends else tokens


def is_tie(
    model: Encodes[Source],
    source: Source,
    got: list[int],
    wanted: list[int],
    options: Options,
    tolerance: float,
) -> bool:
    """Are both answers as good as each other? Then which one comes out is a matter of rounding.

    Greedy: the two tokens where they part score the same. Beams: both have the same likelihood as a whole.
    """
    if options.num_beams == 1:
        part = next(at for at, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b)
        scores = forced_scores(model, source, got[:part])[-1]
        difference = abs(scores[got[part]] - scores[wanted[part]]) / max(1.0, abs(scores).max())
        return bool(difference <= tolerance)
    likelihoods = [_likelihood(model, source, tokens, options) for tokens in (got, wanted)]
    return abs(likelihoods[0] - likelihoods[1]) <= tolerance * max(1.0, abs(likelihoods[1]))


def _likelihood(model: Encodes[Source], source: Source, tokens: list[int], options: Options) -> float:
    """What beam search ranks finished sequences by; tokens that are forced count nothing."""
    logs = log_softmax(forced_scores(model, source, tokens[:-1]))
    counted = list(range(1, len(tokens)))
    if options.forced_bos_token_id is not None:
        counted.remove(1)
    if options.forced_eos_token_id and len(tokens) == options.max_length:
        counted.pop()
    total = float(sum(logs[at - 1, tokens[at]] for at in counted))
    return total / float((len(tokens) - 1) ** options.length_penalty)


def _scores_along(model: EncoderDecoder, expected: Reference) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """(our scores, transformers' scores), each (tokens, vocabulary), along transformers' own answers."""
    return [
        (forced_scores(model, expected.sources[index], expected.generated[index][: len(wanted)]), wanted)
        for index, wanted in expected.scores.items()
    ]


def forced_scores(model: Encodes[Source], source: Source, tokens: list[int]) -> NDArray[Any]:
    """Scores (tokens, vocabulary) after each of `tokens`, fed one by one as while generating."""
    encoder_kv, mask = model.encode([source])
    decoder = Decoder(model.decoder, encoder_kv, mask, 1)
    origin = np.zeros(1, np.int64)
    return np.concatenate([decoder.step(np.array([token]), origin) for token in tokens])


def difference(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], precision: str) -> float:
    if precision == "fp32":
        return max(
            float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max())) for got, wanted in pairs
        )
    return float(np.mean([np.abs(got - wanted).mean() / wanted.std() for got, wanted in pairs]))


def figures_of(
    same: Sequence[bool], pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], precision: str
) -> Figures:
    """`same`: by sample whether the same tokens were generated; `pairs`: our scores and transformers'."""
    best = np.concatenate([got.argmax(-1) == wanted.argmax(-1) for got, wanted in pairs])
    return {
        "samples": len(same),
        "same_text": round(sum(same) / len(same), 4),
        "same_choice": round(float(best.mean()), 4),
        "score_difference": float(f"{difference(pairs, precision):.3g}"),
    }


def problem_of(figures: Figures, precision: str, tolerance: Tolerance) -> str | None:
    judge = fp32_problem if precision == "fp32" else int8_problem
    return judge(figures, tolerance)


def fp32_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    if not figures["score_difference"] <= tolerance.fp32:
        return f"scores differ by {figures['score_difference']:.2g}, allowed {tolerance.fp32:g}"
    if figures["same_text"] < 1.0:
        return f"only {figures['same_text']:.0%} of the samples generate the same tokens"
    return None


def int8_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    if not figures["same_text"] >= tolerance.same_text:
        share = figures["same_text"]
        return f"{share:.0%} of the samples generate the same text, {tolerance.same_text:.0%} are asked"
    if tolerance.same_text > 0 and not figures["same_choice"] >= SAME_CHOICE:
        share = figures["same_choice"]
        return f"{share:.0%} of the tokens score best on both sides, {SAME_CHOICE:.0%} are asked"
    return None
