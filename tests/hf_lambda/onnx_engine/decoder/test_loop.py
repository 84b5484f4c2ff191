"""Rows of text: what they choose, how they end, and the batch that lets go of them."""

from __future__ import annotations

import numpy as np

from hf_lambda.onnx_engine.decoder.loop import Row, decode
from hf_lambda.onnx_engine.decoder.options import generation_of
from tests.hf_lambda.onnx_engine.decoder.conftest import CONTEXT, VOCABULARY

SCORES = np.array([5.0, 4.0, 3.5, 0.0], np.float32)


def _row(prompt, **asked):
    shipped = {"do_sample": False, "eos_token_id": 3}
    return Row(prompt, generation_of(shipped, asked, len(prompt), context=99, vocabulary=4), seed=None)


def _chosen(row, count):
    return [row.choose(SCORES.copy()) for _ in range(count)]


def test_penalties_count_what_was_generated_and_not_the_prompt():
    assert _chosen(_row([0, 0, 0], max_new_tokens=5), 5) == [0] * 5
    # 5, then 4 and 4, then 3.5, 3 and 3: each token loses one for each time it came.
    assert _chosen(_row([0, 0, 0], max_new_tokens=5, frequency_penalty=1.0), 5) == [0, 0, 1, 2, 0]
    # Each loses two once: 3, 2 and 1.5 are left, in that order for ever.
    assert _chosen(_row([0, 0, 0], max_new_tokens=5, presence_penalty=2.0), 5) == [0, 1, 2, 0, 0]


def test_a_row_says_how_it_ended():
    row = _row([1], max_new_tokens=2)
    assert (row.choose(SCORES.copy()), row.finish) == (0, None)
    assert (row.choose(SCORES.copy()), row.finish) == (0, "length")
    ended = _row([1], max_new_tokens=5)
    assert (ended.choose(SCORES[::-1].copy()), ended.finish) == (3, "stop")
    assert (ended.tokens, row.tokens) == ([3], [0, 0])


def _generated(models, prompts, new_tokens):
    rows = [
        Row(
            prompt,
            generation_of(
                {"do_sample": False},
                {"max_new_tokens": new},
                len(prompt),
                context=CONTEXT,
                vocabulary=VOCABULARY,
            ),
            seed=None,
        )
        for prompt, new in zip(prompts, new_tokens, strict=True)
    ]
    for _ in decode(models.ours, prompts, rows):
        pass
    return [row.tokens for row in rows]


def test_rows_that_end_early_leave_the_others_as_they_are_alone(pair):
    models = pair("qwen3")
    prompts = [[5, 6, 7], [8, 9], [10, 11, 12, 13], [14], [15, 16]]
    lengths = [3, 20, 1, 9, 14]
    alone = [
        _generated(models, [prompt], [length])[0] for prompt, length in zip(prompts, lengths, strict=True)
    ]
    assert _generated(models, prompts, lengths) == alone


def test_fewer_rows_are_computed_once_half_of_them_have_ended(pair, monkeypatch):
    models, widths = pair("qwen3"), []

    def step(tokens, step=models.ours.step):
        widths.append(len(tokens))
        return step(tokens)

    monkeypatch.setattr(models.ours, "step", step)
    _generated(models, [[5], [6], [7], [8]], [3, 3, 9, 20])
    assert widths == [4, 4, 2, 2, 2, 2, 2, 2, *[1] * 11]


def test_setting_an_end_ends_the_row(pair):
    models = pair("llama")
    generation = generation_of({}, {"max_new_tokens": 30}, 2, context=CONTEXT, vocabulary=VOCABULARY)
    rows = [Row([4, 5], generation, seed=[1]), Row([6, 7], generation, seed=[2])]
    counts = [0, 0]
    for index, _ in decode(models.ours, [[4, 5], [6, 7]], rows):
        counts[index] += 1
        if index == 0 and counts[0] == 4:
            rows[0].finish = "stop"
    assert counts == [4, 30]
