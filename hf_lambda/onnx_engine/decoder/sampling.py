"""Drawing the next token: transformers' filters in their order, over a few candidates of a vocabulary."""

from __future__ import annotations

import numpy as np

from ..generation.options import Options
from .model import Floats, Ids

_BLOCK = 128
_FIRST = 256
"""Candidates that are sorted at first, where only their probability says how many are needed."""


def draw(scores: Floats, options: Options, random: np.random.Generator) -> int:
    """One token of `scores` (vocabulary) after temperature, top_k, top_p, min_p and typical_p."""
    tokens, probabilities = candidates(scores, options)
    upto = np.cumsum(probabilities, dtype=np.float64)
    at = int(np.searchsorted(upto, random.random() * upto[-1], side="right"))
    return int(tokens[min(at, len(tokens) - 1)])


def candidates(scores: Floats, options: Options) -> tuple[Ids, Floats]:
    """Tokens that may be drawn and how likely each is; the likelihoods of all of them sum to 1.

    Sorted only as far as the options need: a whole vocabulary of 152,000 takes 20 times as long.
    """
    scaled = scores if options.temperature == 1.0 else scores / np.float32(options.temperature)
    if not options.top_k and options.top_p >= 1.0 and options.min_p is None and options.typical_p >= 1.0:
        return np.arange(len(scaled)), _softmax(scaled)
    if options.top_k:
        tokens = _at_least(scaled, options.top_k)
        order = np.argsort(-scaled[tokens], kind="stable")
        tokens = tokens[order]
        values = scaled[tokens]
        # Tokens that score as the last one are kept with it.
        kept = int(np.searchsorted(-values, -values[min(options.top_k, len(values)) - 1], side="right"))
        tokens, values = tokens[:kept], values[:kept]
        likely = _softmax(values)
    else:
        tokens, values, likely = _head(scaled, options)
    if options.top_p < 1.0:
        kept = _nucleus(likely, options.top_p)
        tokens, values = tokens[:kept], values[:kept]
        likely = _softmax(values)
    if options.min_p is not None:
        kept = max(1, int((likely >= np.float32(options.min_p) * likely[0]).sum()))
        tokens, values = tokens[:kept], values[:kept]
        likely = _softmax(values)
    if options.typical_p < 1.0:
        typical = _typical(likely, options.typical_p)
        tokens, likely = tokens[typical], _softmax(values[typical])
    return tokens, likely


def _head(scores: Floats, options: Options) -> tuple[Ids, Floats, Floats]:
    """The likeliest tokens, best first, that top_p and min_p can let through, with their probability."""
    peak = scores.max()
    weights = np.exp(scores - peak)
    total = weights.sum(dtype=np.float64)
    if options.typical_p < 1.0 and options.top_p >= 1.0 and options.min_p is None:
        count = len(scores)
    elif options.top_p < 1.0:
        count = min(_FIRST, len(scores))
    else:
        count = max(1, int((weights >= np.float32(options.min_p or 0)).sum()))
    while True:
        tokens = _at_least(scores, count)
        if count >= len(scores) or options.top_p >= 1.0:
            break
        if weights[tokens].sum(dtype=np.float64) > options.top_p * total:
            break
        count = min(8 * count, len(scores))
    tokens = tokens[np.argsort(-scores[tokens], kind="stable")]
    values = scores[tokens]
    return tokens, values, (weights[tokens] / total).astype(np.float32)


def _nucleus(likely: Floats, mass: float) -> int:
    """How many of the likeliest tokens reach `mass` together: what is not needed for it is dropped."""
    before = np.cumsum(likely, dtype=np.float64) - likely
    # transformers sums from the other end: what a token and all after it have is at most 1 - mass.
    return max(1, int((1.0 - before > 1.0 - mass).sum()))


def _typical(likely: Floats, mass: float) -> Ids:
    """Places of the tokens whose information is nearest to the expected one, until they have `mass`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.log(likely)
        expected = np.nansum(np.where(likely > 0, likely * surprise, 0))
        distance = np.abs(surprise - expected)
    order = np.argsort(distance, kind="stable")
    last = min(int((np.cumsum(likely[order]) < mass).sum()), len(likely) - 1)
    kept: Ids = np.flatnonzero(distance <= distance[order[last]])
    return kept


def _at_least(scores: Floats, count: int) -> Ids:
    """Indices of all scores that are as large as the `count`-th largest block's largest, in their order.

    Among them are the `count` largest, and rarely many more: much faster than partitioning a vocabulary.
    """
    if len(scores) <= _BLOCK * count:
        if count >= len(scores):
            return np.arange(len(scores))
        least = np.partition(scores, -count)[-count]
    else:
        whole = len(scores) - len(scores) % _BLOCK
        peaks = np.append(scores[:whole].reshape(-1, _BLOCK).max(axis=1), scores[whole:].max(initial=-np.inf))
        least = np.partition(peaks, -count)[-count]
    kept: Ids = np.flatnonzero(scores >= least)
    return kept


def _softmax(values: Floats) -> Floats:
    weights = np.exp(values - values.max())
    likely: Floats = weights / weights.sum()
    return likely
