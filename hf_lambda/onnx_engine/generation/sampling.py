"""Sampling: the filters on the distribution in transformers' order, and the draw, deterministic by seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .options import Options
from .processors import Ids, Scores, log_softmax

Filter = Callable[[Scores], Scores]


def filters_for(options: Options) -> list[Filter]:
    """Empty without do_sample. Beams keep as many tokens as can end, and one more to go on with."""
    if not options.do_sample:
        return []
    keep = len(options.eos_token_id) + 1 if options.num_beams > 1 else 1
    chain: list[Filter] = []
    if options.temperature != 1.0:
        chain.append(lambda scores: scores / np.float32(options.temperature))
    if options.top_k:
        chain.append(_top_k(max(options.top_k, keep)))
    if options.top_p < 1.0:
        chain.append(_top_p(options.top_p, keep))
    if options.min_p is not None:
        chain.append(_min_p(options.min_p, keep))
    if options.typical_p < 1.0:
        chain.append(_typical(options.typical_p, keep))
    return chain


def draw(scores: Scores, random: np.random.Generator, count: int = 1) -> Ids:
    """`count` different tokens of one row of scores, as if drawn one after the other by probability."""
    # Gumbel noise on log probabilities: the largest sums are such a draw, without normalising anything.
    noisy = scores + random.gumbel(size=scores.shape)
    noisy[np.isneginf(scores)] = -np.inf
    best = np.argpartition(-noisy, count - 1)[:count]
    return best[np.argsort(-noisy[best], kind="stable")]


def _top_k(count: int) -> Filter:
    def keep(scores: Scores) -> Scores:
        kth = min(count, scores.shape[-1])
        least = np.partition(scores, -kth, axis=-1)[:, -kth, None]
        return np.where(scores < least, np.float32(-np.inf), scores)

    return keep


def _top_p(mass: float, least: int) -> Filter:
    def keep(scores: Scores) -> Scores:
        order = np.argsort(scores, axis=-1, kind="stable")
        upto = np.exp(log_softmax(np.take_along_axis(scores, order, axis=-1))).cumsum(axis=-1)
        drop = upto <= 1 - mass
        drop[:, -least:] = False
        return _dropped(scores, order, drop)

    return keep


def _min_p(share: float, least: int) -> Filter:
    def keep(scores: Scores) -> Scores:
        order = np.argsort(scores, axis=-1, kind="stable")
        ranked = np.exp(log_softmax(np.take_along_axis(scores, order, axis=-1)))
        drop = ranked < np.float32(share) * ranked[:, -1:]
        drop[:, -least:] = False
        return _dropped(scores, order, drop)

    return keep


def _typical(mass: float, least: int) -> Filter:
    def keep(scores: Scores) -> Scores:
        logs = log_softmax(scores)
        expected = (np.where(np.isneginf(logs), 0, logs) * np.exp(logs)).sum(axis=-1, keepdims=True)
        distance = np.abs(expected - logs)
        order = np.argsort(distance, axis=-1, kind="stable")
        upto = np.take_along_axis(np.exp(logs), order, axis=-1).cumsum(axis=-1)
        last = np.minimum((upto < mass).sum(axis=-1, keepdims=True), scores.shape[-1] - 1)
        ranked = np.take_along_axis(distance, order, axis=-1)
        drop = ranked > np.take_along_axis(ranked, last, axis=-1)
        drop[:, :least] = False
        return _dropped(scores, order, drop)

    return keep


def _dropped(scores: Scores, order: Ids, drop: np.ndarray) -> Scores:
    """`drop` is by rank; `order` says which token has which rank."""
    mask = np.empty_like(drop)
    np.put_along_axis(mask, order, drop, axis=-1)
    return np.where(mask, np.float32(-np.inf), scores)
