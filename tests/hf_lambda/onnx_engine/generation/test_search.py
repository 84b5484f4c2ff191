"""Beams by hand: small vocabularies whose right answer can be written down."""

from __future__ import annotations

import numpy as np
import pytest

from hf_lambda.onnx_engine.generation.loop import generate
from hf_lambda.onnx_engine.generation.options import resolve
from hf_lambda.onnx_engine.generation.search import _top

SHIPPED = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


class Scripted:
    """A decoder whose next token depends on the last one alone; counts the rows it is asked for."""

    def __init__(self, chances: np.ndarray) -> None:
        with np.errstate(divide="ignore"):
            self._scores = np.log(chances).astype(np.float32)
        self.rows: list[int] = []
        self.kept: list[list[int]] = []

    def step(self, tokens, origin):
        self.rows.append(len(tokens))
        return self._scores[tokens].copy()

    def keep(self, inputs):
        self.kept.append(inputs)


def chances(**after: dict[int, float]) -> np.ndarray:
    table = np.full((6, 6), 1e-9)
    for name, shares in after.items():
        for token, share in shares.items():
            table[int(name[1:]), token] = share
    return table


GARDEN_PATH = chances(_0={3: 0.6, 4: 0.4}, _3={5: 0.4, 4: 0.3, 1: 0.3}, _4={1: 0.99}, _5={1: 1.0})


def test_greedy_takes_the_best_token_and_beams_the_best_sequence():
    greedy = generate(lambda rows: Scripted(GARDEN_PATH), [[9]], resolve(SHIPPED, {"max_length": 6}))
    beams = generate(
        lambda rows: Scripted(GARDEN_PATH),
        [[9]],
        resolve(SHIPPED, {"max_length": 6, "num_beams": 2, "length_penalty": 0.0}),
    )
    assert greedy == [[[0, 3, 5, 1]]]
    assert beams == [[[0, 4, 1]]]


def test_inputs_that_are_done_leave_the_decoder():
    decoder = Scripted(chances(_0={1: 1.0}))
    generate(lambda rows: decoder, [[9]] * 4, resolve(SHIPPED, {"max_length": 6}))
    assert decoder.rows == [4]


def test_a_batch_shrinks_once_half_of_it_is_done():
    class Uneven(Scripted):
        def step(self, tokens, origin):
            scores = super().step(tokens, origin)
            if len(self.rows) == 1:
                scores[:3] = np.log(1e-9)
                scores[:3, 1] = 0  # three of four end at once
            return scores

    decoder = Uneven(chances(_0={3: 1.0}, _3={3: 1.0}))
    answers = generate(lambda rows: decoder, [[9]] * 4, resolve(SHIPPED, {"max_length": 4}))
    assert answers == [[[0, 1]]] * 3 + [[[0, 3, 3, 3]]]
    assert (decoder.rows, decoder.kept) == ([4, 1, 1], [[3]])


@pytest.mark.parametrize("size", [5, 300, 5000])
@pytest.mark.parametrize("count", [1, 4, 8])
def test_the_largest_are_found_largest_first_and_of_equals_the_earlier(size, count):
    random = np.random.default_rng(size + count)
    for values in (
        random.normal(size=size).astype(np.float32),
        random.integers(0, 3, size).astype(np.float32),
        np.where(np.arange(size) < 3, random.normal(size=size), -np.inf).astype(np.float32),
        np.full(size, -np.inf, np.float32),
    ):
        expected = np.argsort(-values, kind="stable")[:count]
        assert _top(values, count).tolist() == expected.tolist()
