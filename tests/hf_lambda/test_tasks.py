"""Names, heads and default models of the tasks."""

from __future__ import annotations

import re

import pytest

from hf_lambda import tasks
from hf_lambda.parameters import PARAMETERS


@pytest.mark.parametrize(
    ("task", "name", "head"),
    [
        ("sentiment-analysis", "text-classification", "sequence-classification"),
        ("ner", "token-classification", "token-classification"),
        ("translation_en_to_fr", "translation_en_to_fr", "seq2seq-lm"),
        ("zero-shot-classification", "zero-shot-classification", "sequence-classification"),
        ("fill-mask", "fill-mask", "masked-lm"),
    ],
)
def test_every_task_has_one_name_and_one_head(task, name, head):
    assert (tasks.canonical(task), tasks.head_of(task)) == (name, head)


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown task 'image-description'; known: .*summarization"):
        tasks.canonical("image-description")


def test_languages_are_read_from_the_name_of_a_translation():
    assert tasks.languages("translation_en_to_fr") == ("en", "fr")
    assert tasks.languages("translation") is None


def test_every_default_is_pinned_to_a_commit():
    assert set(tasks.DEFAULTS) == set(tasks.TASKS)
    assert all(re.fullmatch("[0-9a-f]{7}|[0-9a-f]{40}", commit) for _, commit in tasks.DEFAULTS.values())


def test_a_task_is_served_or_refused_and_has_parameters():
    assert not {*tasks.TASKS} & {*tasks.REFUSED, *tasks.ALIASES}
    assert set(PARAMETERS) == {*tasks.TASKS}
    assert {*tasks.TORCH_ONLY} <= {*tasks.TASKS} and {*tasks.AUTO_CLASSES} <= {*tasks.HEADS.values()}


def test_what_an_architecture_is_for_is_told_by_its_name():
    names = [
        "BertForMaskedLM",
        "GPT2LMHeadModel",
        "BertModel",
        "MarianMTModel",
        "ViTForImageClassification",
        "X",
    ]
    assert [tasks.task_of_architecture(name) for name in names] == [
        *("fill-mask", "text-generation", "feature-extraction", "text2text-generation"),
        *("image-classification", None),
    ]


def test_defaults_are_those_of_transformers_where_it_has_the_task():
    from transformers.pipelines import SUPPORTED_TASKS

    for task, (model, commit) in tasks.DEFAULTS.items():
        assert (task in SUPPORTED_TASKS) is not (tasks.is_dropped(task) or task in tasks.OWN)
        if task in SUPPORTED_TASKS:
            name, revision = SUPPORTED_TASKS[task]["default"]["model"]
            assert (model, commit[: len(revision)]) == (name, revision)


def test_a_translation_without_default_says_what_to_write():
    with pytest.raises(ValueError, match="Helsinki-NLP/opus-mt-fi-sv"):
        tasks.default_model("translation_fi_to_sv")
    with pytest.raises(ValueError, match="translation_en_to_fr"):
        tasks.default_model("translation")
    assert tasks.default_model("translation_en_to_fr")[0] == "google-t5/t5-base"
