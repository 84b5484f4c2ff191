"""The gate of language models: teacher-forced on the same tokens, do both sides expect the same next ones?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_lambda.onnx_engine.decoder.model import Model

from ..request import Figures, PrepareRequest, Tolerance, Verdict
from .reference import Layered, adapter_of, parts

_PART = 32
"""Tokens whose scores, of both sides, are in memory at a time."""
_STEPPED = 12
"""Tokens at the end of the first row that are also fed one by one, as while generating."""
_SURE = 0.05
"""By how much the likeliest token has to be ahead of the second: below it, either is as good."""


@dataclass
class _Sums:
    divergence: list[NDArray[Any]] = field(default_factory=list)
    same: list[NDArray[Any]] = field(default_factory=list)
    sure: list[NDArray[Any]] = field(default_factory=list)
    ours: list[NDArray[Any]] = field(default_factory=list)
    theirs: list[NDArray[Any]] = field(default_factory=list)
    difference: float = 0.0

    def add(self, got: NDArray[Any], wanted: NDArray[Any], following: Sequence[int]) -> None:
        """Scores (n, vocabulary) of both sides; `following`: the tokens that did come next, at most n."""
        scale = max(1.0, float(np.abs(wanted).max()))
        # Python's max would pass over what is not a number.
        self.difference = float(np.maximum(self.difference, np.abs(got - wanted).max() / scale))
        got, wanted = _log_softmax(got), _log_softmax(wanted)
        likely = np.exp(wanted)
        self.divergence.append((likely * (wanted - got)).sum(-1))
        self.same.append(got.argmax(-1) == wanted.argmax(-1))
        two = np.partition(likely, -2, axis=-1)[:, -2:]
        self.sure.append(two[:, 1] - two[:, 0] > _SURE)
        at = np.arange(len(following))
        self.ours.append(-got[at, following])
        self.theirs.append(-wanted[at, following])

    def figures(self) -> dict[str, float]:
        divergence, same, sure = (np.concatenate(each) for each in (self.divergence, self.same, self.sure))
        ours, theirs = (float(np.concatenate(each).mean()) for each in (self.ours, self.theirs))
        return {
            "tokens": len(divergence),
            "kl": _rounded(float(divergence.mean())),
            "same_choice": round(float(same[sure].mean()) if sure.any() else float(same.mean()), 4),
            "perplexity": _rounded(float(np.exp(theirs))),
            "perplexity_change": _rounded(float(np.expm1(ours - theirs))),
            "score_difference": _rounded(self.difference),
        }


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """Figures of the candidate in `work`/`precision`, refused beyond the tolerance of `request`."""
    rows = json.loads((work / "reference.json").read_text())
    reference, sums = Layered(request.snapshot, adapter_of(request)), _Sums()
    model = Model(work / precision, max(map(len, rows)), prepack=precision != "fp32")
    with np.load(work / "reference.npz") as states:
        for at, row in enumerate(rows):
            hidden = states[str(at)]
            for part in parts(len(row), _PART):
                got = model.outputs(0, row[: part.stop], part.start)
                wanted = reference.scores(hidden[part])
                sums.add(got, wanted, row[part.start + 1 : part.stop + 1])
        row, hidden = rows[0], states["0"]
        begin = max(1, len(row) - _STEPPED)
        model.read(0, row[:begin])
        for place in range(begin, len(row)):
            got = model.step([row[place]])
            sums.add(got, reference.scores(hidden[place : place + 1]), row[place + 1 : place + 2])
    figures = sums.figures()
    problem = (
        _fp32_problem(figures, request.tolerance)
        if precision == "fp32"
        else _quantised_problem(figures, request.tolerance, precision)
    )
    return Verdict(
        {**figures, **_allowed(request.tolerance, precision)}, problem and f"{precision}: {problem}"
    )


def _allowed(tolerance: Tolerance, precision: str) -> dict[str, float]:
    """The bounds, to stand beside the figures in the report."""
    if precision == "fp32":
        return {"score_difference_allowed": tolerance.fp32}
    names = ("kl", "same_choice", "perplexity")
    return {f"{name}_allowed": getattr(tolerance, f"{precision}_{name}") for name in names}


def _fp32_problem(figures: Figures, tolerance: Tolerance) -> str | None:
    if not figures["score_difference"] <= tolerance.fp32:
        return f"scores differ by {figures['score_difference']:.2g}, allowed {tolerance.fp32:g}"
    return None


def _quantised_problem(figures: Figures, tolerance: Tolerance, precision: str) -> str | None:
    allowed = {
        name: getattr(tolerance, f"{precision}_{name}") for name in ("kl", "same_choice", "perplexity")
    }
    if not figures["kl"] <= allowed["kl"]:
        return f"the mean KL divergence is {figures['kl']:.3g}, allowed {allowed['kl']:g}"
    if not figures["same_choice"] >= allowed["same_choice"]:
        share = figures["same_choice"]
        return f"{share:.1%} of the sure choices are the same, {allowed['same_choice']:.1%} are asked"
    if not figures["perplexity_change"] <= allowed["perplexity"]:
        change = figures["perplexity_change"]
        return f"the perplexity grows by {change:.2%}, allowed {allowed['perplexity']:.2%}"
    return None


def _log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logs: NDArray[Any] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
