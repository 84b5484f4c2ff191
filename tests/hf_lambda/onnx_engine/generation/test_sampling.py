"""Filters against transformers' own, draws against the probabilities they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.generation import logits_process as theirs

from hf_lambda.onnx_engine.generation.options import resolve
from hf_lambda.onnx_engine.generation.sampling import draw, filters_for

SHIPPED = {"decoder_start_token_id": 0, "eos_token_id": 1, "do_sample": True, "top_k": 0}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    ("options", "warper"),
    [
        ({"temperature": 0.7}, lambda keep: theirs.TemperatureLogitsWarper(0.7)),
        ({"top_k": 5}, lambda keep: theirs.TopKLogitsWarper(5, min_tokens_to_keep=keep)),
        ({"top_k": 1}, lambda keep: theirs.TopKLogitsWarper(1, min_tokens_to_keep=keep)),
        ({"top_p": 0.8}, lambda keep: theirs.TopPLogitsWarper(0.8, min_tokens_to_keep=keep)),
        ({"top_p": 0.01}, lambda keep: theirs.TopPLogitsWarper(0.01, min_tokens_to_keep=keep)),
        ({"min_p": 0.2}, lambda keep: theirs.MinPLogitsWarper(0.2, min_tokens_to_keep=keep)),
        ({"typical_p": 0.6}, lambda keep: theirs.TypicalLogitsWarper(0.6, min_tokens_to_keep=keep)),
    ],
)
def test_filters_keep_the_tokens_that_transformers_keeps(options, warper, beams):
    scores = np.random.default_rng(3).normal(0, 2, (6, 80)).astype(np.float32)
    scores[:, 7] = -np.inf
    (narrow,) = filters_for(resolve(SHIPPED, {**options, "num_beams": beams}))
    expected = warper(2 if beams > 1 else 1)(None, torch.tensor(scores)).numpy()
    np.testing.assert_allclose(narrow(scores.copy()), expected, rtol=1e-6)


def test_without_sampling_there_are_no_filters():
    assert filters_for(resolve(SHIPPED, {"do_sample": False, "temperature": 0.5, "top_k": 3})) == []


def test_tokens_are_drawn_by_their_probability():
    random = np.random.default_rng(0)
    shares = np.array([0.5, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        scores = np.log(shares).astype(np.float32)
    drawn = np.bincount([draw(scores, random)[0] for _ in range(4000)], minlength=4) / 4000
    assert np.abs(drawn - shares).max() < 0.03
    assert drawn[3] == 0


def test_several_tokens_of_one_draw_differ():
    random = np.random.default_rng(0)
    scores = np.zeros(6, np.float32)
    assert sorted(draw(scores, random, 6).tolist()) == list(range(6))
