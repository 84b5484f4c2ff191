"""zero-shot-classification against transformers' own pipeline."""

import pytest

from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS

NLI = ["contradiction", "neutral", "entailment"]


@pytest.mark.parametrize("family", others_slow([*FAMILIES, "bart"], "bart"))
def test_every_family_gives_the_labels_and_scores_of_transformers(pair, family):
    both = pair("zero-shot-classification", family, labels=NLI)
    for multi_label in (False, True):
        options = {"candidate_labels": ["travel", "science", "food"], "multi_label": multi_label}
        same(both.fast(TEXTS[:3], **options), both.slow(TEXTS[:3], **options))


@pytest.mark.parametrize("family", ["bert", "roberta", "bart"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"candidate_labels": ["travel", "science", "food"]},
        {"candidate_labels": ["travel"]},
        {"candidate_labels": ["travel", "science"], "multi_label": True},
        {"candidate_labels": ["travel", "science"], "hypothesis_template": "What is it about? {}"},
    ],
)
def test_labels_and_scores_are_those_of_transformers(pair, family, parameters):
    both = pair("zero-shot-classification", family, labels=NLI)
    same(both.fast(TEXTS[:3], **parameters), both.slow(TEXTS[:3], **parameters))


@pytest.mark.parametrize("labels", [["entailment", "neutral", "contradiction"], ["no", "ENTAILS", "maybe"]])
def test_the_entailment_label_is_found_as_transformers_finds_it(pair, labels):
    both = pair("zero-shot-classification", labels=labels)
    for multi_label in (False, True):
        options = {"candidate_labels": ["travel", "science"], "multi_label": multi_label}
        same(both.fast(TEXTS[:2], **options), both.slow(TEXTS[:2], **options))


def test_a_long_text_is_cut_and_its_hypothesis_kept(pair):
    both = pair("zero-shot-classification", labels=NLI)
    long, options = [" ".join(TEXTS)], {"candidate_labels": ["travel", "science"]}
    same(both.fast(long, **options), both.slow(long, **options))


def test_beside_a_hypothesis_that_leaves_no_room_a_text_stays_whole(pair):
    both = pair("zero-shot-classification", labels=NLI)
    template = "and " * 61 + "{}"  # the tokenizer's maximum is 64, the model's 80
    options = {"candidate_labels": ["travel", "science"], "hypothesis_template": template}
    assert 64 < len(both.slow.tokenizer("ok", template)["input_ids"]) < 75
    same(both.fast(["ok"], **options), both.slow(["ok"], **options))
