"""fill-mask against transformers' own pipeline."""

import warnings

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS


def masked(both, *texts):
    return [text.format(m=both.slow.tokenizer.mask_token) for text in texts]


@pytest.mark.parametrize("family", others_slow(FAMILIES, "roberta"))
def test_every_family_gives_the_candidates_of_transformers(pair, family):
    both = pair("fill-mask", family)
    texts = masked(both, "Marie {m} was born in Warsaw.", "{m}", "the train, {m} the coffee isn't {m} !")
    same(both.fast(texts), both.slow(texts))


@pytest.mark.parametrize("top_k", [1, 3])
def test_top_k_limits_the_candidates(pair, top_k):
    both = pair("fill-mask")
    texts = masked(both, "Marie {m} was born in Warsaw.", "the {m} is wonderful")
    same(both.fast(texts, top_k=top_k), both.slow(texts, top_k=top_k))


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("targets", ["train", ["train", "coffee"], ["train", "unheardof"]])
def test_targets_are_what_is_chosen_from(pair, family, targets):
    both = pair("fill-mask", family)
    texts = masked(both, "Marie {m} was born in {m}.", "the {m} is wonderful")
    same(both.fast(texts, targets=targets), both.slow(texts, targets=targets))


def test_long_texts_are_cut_where_asked(pair):
    both = pair("fill-mask")
    texts = masked(both, "the {m} is " + " ".join(TEXTS))
    wanted = both.slow(texts, tokenizer_kwargs={"truncation": True})
    same(both.fast(texts, truncation=True), [wanted])
    same(both.fast(texts, truncation=True), [wanted])


def test_a_text_without_a_mask_is_refused(pair):
    with pytest.raises(Unprocessable, match=r"has no \[MASK\]: write it"):
        pair("fill-mask").fast(["nothing is missing"])


def test_targets_without_a_known_word_are_refused(pair):
    both = pair("fill-mask")
    with warnings.catch_warnings(), pytest.raises(BadRequest, match="targets"):
        both.fast(masked(both, "{m}"), targets=[""])
