"""text-classification against transformers' own pipeline."""

import pytest

from hf_lambda.errors import Unprocessable
from hf_lambda.torch_engine import load as load_torch
from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS

SHORT = [*TEXTS[:3], "ok", "今日は 😀 naïve"]


@pytest.mark.parametrize("family", others_slow([*FAMILIES, "bart"], "bert"))
def test_every_family_gives_the_labels_and_scores_of_transformers(pair, family):
    both = pair("text-classification", family)
    same(both.fast(SHORT), both.slow(SHORT))


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_k": None},
        {"top_k": 1},
        {"top_k": 2},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "none"},
    ],
)
def test_parameters_do_what_they_do_in_transformers(pair, parameters):
    both = pair("text-classification")
    same(both.fast(SHORT, **parameters), both.slow(SHORT, **parameters))


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ["score"]},
        {"labels": ["score"], "problem_type": "regression"},
        {"labels": ["a", "b", "c"], "problem_type": "multi_label_classification"},
        {"labels": ["a", "b"], "problem_type": "single_label_classification"},
    ],
)
def test_the_problem_type_chooses_the_function(pair, options):
    both = pair("text-classification", **options)
    same(both.fast(SHORT), both.slow(SHORT))
    same(both.fast(SHORT, top_k=None), both.slow(SHORT, top_k=None))


def test_a_pair_of_texts_is_read_as_one_input(pair):
    both = pair("text-classification")
    pairs = [{"text": TEXTS[0], "text_pair": TEXTS[2]}, {"text": "a", "text_pair": "b c"}]
    same(both.fast(pairs), both.slow(pairs))


@pytest.mark.parametrize("family", others_slow(["bert", "roberta", "deberta-v2"], "bert"))
def test_long_texts_are_cut_where_asked(pair, family):
    both = pair("text-classification", family)
    long = [" ".join(TEXTS), "short"]
    same(both.fast(long, truncation=True), both.slow(long, truncation=True))
    cut = {"truncation": True, "max_length": 9}
    same(both.fast(long, **cut), both.slow(long, **cut))


@pytest.mark.parametrize("truncation", ["longest_first", "only_first", "only_second"])
def test_of_a_pair_that_part_is_cut_which_truncation_names(pair, truncation):
    both = pair("text-classification")
    pairs = [{"text": TEXTS[0], "text_pair": TEXTS[1]}, {"text": "a b c", "text_pair": "d e f"}]
    options = {"truncation": truncation, "max_length": 24, "top_k": None}
    same(both.fast(pairs, **options), both.slow(pairs, **options))


@pytest.mark.parametrize("truncation", ["only_first", "only_second"])
def test_a_pair_that_stays_too_long_is_refused_by_both_engines(pair, truncation):
    both = pair("text-classification")
    pairs = [{"text": " ".join(TEXTS), "text_pair": " ".join(TEXTS)}]
    for engine in (both.fast, load_torch("text-classification", both.snapshot)):
        with pytest.raises(Unprocessable, match=r"the text cannot be cut as `truncation` says: .* too short"):
            engine(pairs, truncation=truncation)


def test_a_text_longer_than_the_model_is_refused_without_truncation(pair):
    with pytest.raises(Unprocessable, match=r"has \d+ tokens, the model takes 80: .* truncation"):
        pair("text-classification").fast([" ".join(TEXTS)])


def test_no_input_gives_no_output(pair):
    assert pair("text-classification").fast([]) == []
