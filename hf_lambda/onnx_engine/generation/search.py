"""Where one input's generation stands: greedy and sampled rows, or beams. No model in here, only scores."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .options import Options
from .processors import Ids, Scores
from .sampling import draw

DISCARDED = np.float32(-1e9)  # transformers' score of what must not win; a float32, so that ties round alike

_NOTHING = np.float32(0)
_BLOCK = 256


class Search(Protocol):
    """One input. Its rows advance together; `advance` says which row each new row goes on from."""

    tokens: Ids
    """(rows, length) so far."""
    done: bool

    def advance(self, scores: Scores) -> Ids: ...

    def results(self) -> list[list[int]]:
        """num_return_sequences sequences, best first, from their start up to eos or the last length."""


def search_for(options: Options) -> Search:
    random = np.random.default_rng(options.seed) if options.do_sample else None
    return BeamSearch(options, random) if options.num_beams > 1 else IndependentRows(options, random)


class IndependentRows:
    """Greedy search (one row), or sampling (num_return_sequences rows that know nothing of each other)."""

    def __init__(self, options: Options, random: np.random.Generator | None) -> None:
        rows = options.num_return_sequences
        self.options, self.random, self.done = options, random, False
        self.tokens = np.tile(np.array(options.begin, np.int64), (rows, 1))
        self._open = np.ones(rows, bool)
        self._lengths = np.full(rows, len(options.begin))
        self._stay = np.arange(rows)

    def advance(self, scores: Scores) -> Ids:
        if self.random is None:
            chosen = scores.argmax(axis=-1)
        else:
            chosen = np.array([draw(row, self.random)[0] for row in scores])
        if not self._open.all():
            chosen = np.where(self._open, chosen, self.options.fill)
        self.tokens = np.concatenate([self.tokens, chosen[:, None]], axis=1)
        self._lengths[self._open] += 1
        self._open &= ~np.isin(chosen, self.options.eos_token_id)
        self.done = not self._open.any() or self.tokens.shape[1] >= self.options.max_length
        return self._stay

    def results(self) -> list[list[int]]:
        return [row[:length].tolist() for row, length in zip(self.tokens, self._lengths, strict=True)]


class BeamSearch:
    """Beam search of one input, the semantics of transformers' vectorised `_beam_search`."""

    def __init__(self, options: Options, random: np.random.Generator | None) -> None:
        beams = options.num_beams
        self.options, self.random, self.done = options, random, False
        self.tokens = np.tile(np.array(options.begin, np.int64), (beams, 1))
        # All beams start alike: only the first may branch, or they would all choose the same tokens.
        self.scores = np.full(beams, DISCARDED)
        self.scores[0] = 0
        self._finished_scores = np.full(beams, DISCARDED)
        self._is_finished = np.zeros(beams, bool)
        self._finished: list[Ids] = [self.tokens[0]] * beams
        # As many candidates as still leave num_beams to go on with when every other one ends.
        self._candidates = max(2, 1 + len(options.eos_token_id)) * beams

    def advance(self, scores: Scores) -> Ids:
        beams, vocabulary = scores.shape
        length = self.tokens.shape[1] + 1
        totals = (scores + self.scores[:, None]).reshape(-1)
        best = self._best(totals)
        values, origin, token = totals[best], best // vocabulary, best % vocabulary
        ends = np.isin(token, self.options.eos_token_id)
        if length >= self.options.max_length:
            ends[:] = True
        self._keep_finished(values, origin, token, ends, length)
        going: Scores = values + np.where(ends, DISCARDED, _NOTHING)
        chosen = _top(going, beams)
        self.scores = going[chosen]
        self.tokens = np.concatenate([self.tokens[origin[chosen]], token[chosen, None]], axis=1)
        self.done = bool(ends.all()) or self._is_settled(length)
        rows: Ids = origin[chosen]
        return rows

    def results(self) -> list[list[int]]:
        return [tokens.tolist() for tokens in self._finished[: self.options.num_return_sequences]]

    def _best(self, totals: Scores) -> Ids:
        if self.random is not None:
            return draw(totals, self.random, self._candidates)
        return _top(totals, self._candidates)

    def _keep_finished(self, values: Scores, origin: Ids, token: Ids, ends: np.ndarray, length: int) -> None:
        """Merge what just ended, of the first num_beams candidates, into the best finished sequences."""
        beams = self.options.num_beams
        just = ends & (np.arange(len(ends)) < beams)
        if not just.any():
            return
        penalised = values / np.float32((length - len(self.options.begin)) ** self.options.length_penalty)
        merged = np.concatenate([self._finished_scores, penalised + np.where(just, _NOTHING, DISCARDED)])
        flags = np.concatenate([self._is_finished, just])
        # Best first; of equals what ended before what never did: a beam that cannot branch scores like none.
        order = np.lexsort((~flags, -merged))[:beams]
        self._finished = [
            self._finished[at]
            if at < beams
            else np.append(self.tokens[origin[at - beams]], token[at - beams])
            for at in order.tolist()
        ]
        self._finished_scores, self._is_finished = merged[order], flags[order]

    def _is_settled(self, length: int) -> bool:
        """Can no running beam still beat the finished ones?"""
        options = self.options
        if not self._is_finished.all():
            return False
        if options.early_stopping is True:
            return True
        reach = (
            options.max_length if options.early_stopping == "never" and options.length_penalty > 0 else length
        )
        hope = self.scores[0] / np.float32((reach - len(options.begin)) ** options.length_penalty)
        return not hope > self._finished_scores.min()


def _top(values: Scores, count: int) -> Ids:
    """Indices of the `count` largest, largest first; of equal ones the earlier."""
    candidates = np.arange(len(values)) if len(values) <= _BLOCK * count else _upper(values, count)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]


def _upper(values: Scores, count: int) -> Ids:
    """Indices of all values that are at least as large as the `count`-th largest block's maximum.

    Among them are the `count` largest, and rarely many more: ten times faster than partitioning a vocabulary.
    """
    whole = len(values) - len(values) % _BLOCK
    peaks = np.append(values[:whole].reshape(-1, _BLOCK).max(axis=1), values[whole:].max(initial=-np.inf))
    least = np.partition(peaks, -count)[-count]
    if least > -np.inf:
        return np.flatnonzero(values >= least)
    allowed = np.flatnonzero(values > -np.inf)  # of the forbidden ones, which are all alike, a few are enough
    return np.union1d(allowed, np.arange(min(len(values), len(allowed) + count)))
