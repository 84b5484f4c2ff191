"""Options of one generation: what the request says over what the model ships over transformers' defaults."""

from __future__ import annotations

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.onnx_engine.decoder.options import generation_of


def _of(shipped, asked, prompt=10, context=100):
    return generation_of(shipped, asked, prompt, context=context, vocabulary=50)


@pytest.mark.parametrize(
    ("shipped", "asked", "longest"),
    [
        ({}, {}, 100),
        ({}, {"max_new_tokens": 5}, 15),
        ({}, {"max_length": 30}, 30),
        ({"max_length": 40}, {}, 40),
        ({"max_length": 4096}, {}, 100),
        ({"max_length": 40}, {"max_new_tokens": 70}, 80),
        ({"max_new_tokens": 7}, {"max_length": 50}, 50),
        ({"max_new_tokens": 7, "max_length": 60}, {}, 17),
    ],
)
def test_the_longest_text_counts_the_prompt(shipped, asked, longest):
    assert _of(shipped, asked).options.max_length == min(longest, 100)


@pytest.mark.parametrize(
    ("shipped", "asked", "sampled"),
    [
        ({}, {}, (True, 0.7)),
        ({"temperature": 0.6}, {}, (True, 0.6)),
        ({"do_sample": False}, {}, (False, 0.7)),
        ({"do_sample": False}, {"do_sample": True, "temperature": 1.2}, (True, 1.2)),
    ],
)
def test_sampling_is_transformers_default_for_this_task(shipped, asked, sampled):
    options = _of(shipped, asked).options
    assert (options.do_sample, options.temperature) == sampled


def test_the_least_length_counts_from_the_prompt_or_from_its_beginning():
    assert _of({}, {"min_new_tokens": 4}).options.min_length == 14
    assert _of({}, {"min_length": 25}).options.min_length == 25
    assert _of({}, {"min_length": 3}).options.min_length == 10
    assert _of({}, {"min_new_tokens": 50, "max_new_tokens": 6}).options.min_length == 16


def test_options_of_chat_apis_are_kept_beside_those_of_transformers():
    generation = _of({}, {"stop": "###", "frequency_penalty": 1, "presence_penalty": None})
    assert generation.stop == ("###",)
    assert (generation.frequency_penalty, generation.presence_penalty) == (1.0, 0.0)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(
        Unprocessable, match="the prompt has 10 tokens, this endpoint holds 10 with the answer"
    ):
        _of({}, {}, context=10)
    with pytest.raises(Unprocessable, match="the prompt has 10 tokens, which `max_length` counts too"):
        _of({}, {"max_length": 10})
    with pytest.raises(Unprocessable, match="ask for at most 90 new tokens"):
        _of({}, {"max_new_tokens": 91})


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"num_beams": 2}, "num_beams"), ({"penalty_alpha": 0.6}, "penalty_alpha"), ({"top_p": 2}, "top_p")],
)
def test_what_the_loop_does_not_do_is_refused_by_name(asked, field):
    with pytest.raises(BadRequest) as refused:
        _of({}, asked)
    assert refused.value.field == field
