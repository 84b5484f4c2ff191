"""token-classification against transformers' own pipeline."""

import warnings

import pytest

from hf_lambda.errors import BadRequest
from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS

STRATEGIES = ["none", "simple", "first", "average", "max"]
INPUTS = [*TEXTS[:5], "Zoë 😀 unseen-words\tand   spaces"]


def slow(both, inputs, **parameters):
    with warnings.catch_warnings():  # "Tokenizer does not support real words, using fallback heuristic"
        warnings.simplefilter("ignore", UserWarning)
        return both.slow(inputs, **parameters)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", others_slow(FAMILIES, "roberta"))
def test_every_family_gives_the_entities_of_transformers(pair, family, strategy):
    both = pair("token-classification", family)
    tokenizer = both.slow.tokenizer
    # What is longer than the model reads at once is read in windows, which transformers does where asked to.
    window = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    named = {} if strategy == "none" else {"aggregation_strategy": strategy}
    wanted = slow(both, INPUTS, ignore_labels=[], stride=window // 4, **named)
    assert all(wanted)
    same(both.fast(INPUTS, ignore_labels=[], aggregation_strategy=strategy), wanted)


@pytest.mark.parametrize("stride", [0, 5, 20])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_long_texts_are_read_in_windows_with_a_stride(pair, family, strategy, stride):
    both = pair("token-classification", family)
    options = {"aggregation_strategy": strategy, "stride": stride}
    inputs = [" ".join(TEXTS[:10]), TEXTS[0]]
    same(both.fast(inputs, **options), slow(both, inputs, **options))


def test_labels_to_ignore_are_left_out(pair):
    both = pair("token-classification")
    for ignored in ([], ["B-PER"], ["PER", "O"]):
        options = {"ignore_labels": ignored, "aggregation_strategy": "simple"}
        same(both.fast(INPUTS, **options), slow(both, INPUTS, **options))


def test_words_that_are_split_already_keep_their_places(pair):
    both = pair("token-classification")
    words = [["Marie", "Curie", "was", "born", "in", "Warsaw"], ["platform", "9"]]
    options = {"is_split_into_words": True, "aggregation_strategy": "simple"}
    same(both.fast(words, **options), slow(both, words, **options))


def test_a_stride_as_long_as_the_window_is_refused(pair):
    with pytest.raises(BadRequest, match=r"stride.*less than 62"):
        pair("token-classification").fast(["a"], stride=62, aggregation_strategy="simple")
