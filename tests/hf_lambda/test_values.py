"""Which values parameters take."""

from __future__ import annotations

import pytest

from hf_lambda.parameters import PARAMETERS, option_problem
from hf_lambda.values import default_problem, expected_value


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("text-classification", "top_k", 1),
        ("text-generation", "top_k", 0),
        ("summarization", "early_stopping", "never"),
        ("summarization", "truncation", True),
        ("summarization", "top_p", 0.9),
        ("zero-shot-classification", "candidate_labels", "a, b"),
        ("zero-shot-classification", "candidate_labels", ["a"]),
        ("token-classification", "aggregation_strategy", "simple"),
        ("translation_en_to_fr", "length_penalty", -1),
        ("summarization", "bad_words_ids", [[1, 2]]),
        ("summarization", "eos_token_id", [1, 2]),
        ("fill-mask", "truncation", True),
        ("fill-mask", "tokenizer_kwargs", {"truncation": True, "max_length": 8}),
    ],
)
def test_a_value_that_fits_passes(task, name, value):
    assert expected_value(task, name, value) is None


@pytest.mark.parametrize(
    ("task", "name", "value", "expected"),
    [
        ("text-classification", "top_k", 0, "a whole number of at least 1"),
        ("text-classification", "top_k", True, "a whole number of at least 1"),
        ("text-generation", "top_k", -1, "a whole number of at least 0"),
        ("summarization", "max_length", 2.5, "a whole number of at least 1"),
        ("summarization", "temperature", 0, "a number above 0"),
        ("summarization", "top_p", 1.1, "a number from 0 to 1"),
        ("summarization", "do_sample", "yes", "one of true, false"),
        ("zero-shot-classification", "candidate_labels", [], "text or an array of texts"),
        ("zero-shot-classification", "hypothesis_template", "no place", "text with {} where the label goes"),
        ("ner", "aggregation_strategy", "best", "one of none, simple, first, average, max"),
        ("feature-extraction", "pooling", "max", "one of mean, cls"),
        ("summarization", "bad_words_ids", [1], "an array of arrays of token ids"),
        ("fill-mask", "tokenizer_kwargs", {"padding": True}, "an object of truncation and max_length"),
        ("fill-mask", "tokenizer_kwargs", {"max_length": 0}, "an object of truncation and max_length"),
    ],
)
def test_a_value_that_does_not_fit_is_answered_with_what_does(task, name, value, expected):
    assert expected_value(task, name, value) == expected


def test_every_parameter_of_every_task_refuses_an_object_or_is_free():
    for task, names in PARAMETERS.items():
        free = [name for name in names if expected_value(task, name, {}) is None]
        assert free in ([], ["chat_template_kwargs"])  # variables of a template are an object


def test_a_default_is_checked_like_a_value_of_a_call():
    assert default_problem("ner", "aggregation_strategy", "best") == (
        "`aggregation_strategy='best'`: write one of none, simple, first, average, max"
    )
    assert default_problem("ner", "aggregation_strategy", None) is None
    assert default_problem("ner", "engine", "x") is None


def test_options_of_transformers_that_change_nothing_are_accepted_and_others_told_apart():
    assert option_problem("ner", "device", "cpu") is None
    assert option_problem("ner", "device", 0) == "`device=0` is not supported here: leave it out"
    problem = option_problem("ner", "agregation_strategy", "simple")
    assert problem is not None
    assert problem.startswith("`agregation_strategy` is not an option of ner; it takes task, model")
