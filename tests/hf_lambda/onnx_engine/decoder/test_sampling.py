"""Sampling: the same tokens stay in the draw, equally likely, as transformers' warpers leave."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from transformers import LogitsProcessorList
from transformers.generation import logits_process

from hf_lambda.onnx_engine.decoder.sampling import candidates, draw
from hf_lambda.onnx_engine.generation.options import Options

VOCABULARY = 40_000


def _options(**given):
    return Options(decoder_start_token_id=0, do_sample=True, **given)


def _scores(seed, size=VOCABULARY):
    return (np.random.default_rng(seed).standard_normal(size) * 2).astype(np.float32)


def _expected(scores, temperature=1.0, top_k=50, top_p=1.0, min_p=None, typical_p=1.0):
    """Probabilities that are left, by transformers' own processors in the order of `generate`."""
    chain = LogitsProcessorList()
    if temperature != 1.0:
        chain.append(logits_process.TemperatureLogitsWarper(temperature))
    if top_k:
        chain.append(logits_process.TopKLogitsWarper(top_k))
    if top_p < 1.0:
        chain.append(logits_process.TopPLogitsWarper(top_p))
    if min_p is not None:
        chain.append(logits_process.MinPLogitsWarper(min_p))
    if typical_p < 1.0:
        chain.append(logits_process.TypicalLogitsWarper(typical_p))
    left = chain(torch.zeros(1, 1, dtype=torch.long), torch.from_numpy(scores.copy())[None])
    return left.softmax(-1)[0].numpy()


@pytest.mark.parametrize("case", range(60))
def test_the_candidates_are_those_of_transformers(case):
    choice = random.Random(case)
    given = {
        "temperature": choice.choice([1.0, 0.7, 1.5]),
        "top_k": choice.choice([0, 0, 1, 20, 50, 1000]),
        "top_p": choice.choice([1.0, 0.9, 0.5, 0.05]),
        "min_p": choice.choice([None, None, 0.05, 0.4]),
        "typical_p": choice.choice([1.0, 1.0, 0.9, 0.2]),
    }
    size = choice.choice([30, 1000, VOCABULARY])
    scores = _scores(case, size)
    tokens, likely = candidates(scores, _options(**given))
    got = np.zeros(size, np.float32)
    got[tokens] = likely
    wanted = _expected(scores, **given)
    differ = np.flatnonzero((got > 0) != (wanted > 0))
    # A token at the edge of a sum of thousands of floats may fall on either side.
    assert len(differ) <= 1
    assert wanted[differ].sum() + got[differ].sum() <= 2e-3
    assert np.abs(got - wanted).max() <= 2e-3


def test_forbidden_tokens_are_never_candidates():
    scores = _scores(1, 1000)
    scores[::2] = -np.inf
    for given in ({"top_k": 0}, {"top_k": 10}, {"top_k": 0, "top_p": 0.9}, {"top_k": 900, "min_p": 0.001}):
        tokens, likely = candidates(scores, _options(**given))
        assert likely[tokens % 2 == 0].sum() == 0


def test_tokens_that_score_as_the_last_one_of_top_k_stay_too():
    scores = np.zeros(1000, np.float32)
    scores[:10] = 1
    tokens, _ = candidates(scores, _options(top_k=3))
    assert sorted(tokens) == list(range(10))


def test_draws_come_as_often_as_they_are_likely():
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    generator = np.random.default_rng(7)
    drawn = [draw(scores, _options(top_k=3), generator) for _ in range(4000)]
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    assert np.abs(shares - np.array([0.5, 0.3, 0.15, 0]) / 0.95).max() < 0.03
