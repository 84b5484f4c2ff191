"""Inputs and answers of pipelines, in the shapes that transformers gives them."""

from __future__ import annotations

from typing import Any

import pytest

from hf_lambda import endpoint, pipeline
from hf_lambda.errors import BadRequest
from hf_lambda.inputs import Single


@pytest.mark.parametrize("task", ["text-classification", "summarization", "translation_en_to_fr"])
def test_one_text_comes_in_a_list_of_one_and_a_list_as_a_list(cache, warm, engine, task):
    warm()
    ask = pipeline(task, model="org/name")
    assert ask("a") == [{"label": "a"}]
    assert isinstance(ask("a"), Single)
    assert ask(["a", "b"]) == [{"label": "a"}, {"label": "b"}]
    assert not isinstance(ask(["a"]), Single)
    assert ask(("a",)) == [{"label": "a"}]


@pytest.mark.parametrize("task", ["ner", "fill-mask", "feature-extraction", "zero-shot-classification"])
def test_other_tasks_give_one_input_its_bare_result(cache, warm, engine, task):
    warm()
    options: dict[str, Any] = {"candidate_labels": ["a", "b"]} if task.startswith("zero-shot") else {}
    assert pipeline(task, model="org/name", **options)("a") == {"label": "a"}


def test_generated_text_is_one_element_even_in_a_list(cache, warm, engine):
    warm()
    engine.results = lambda items: [[{"generated_text": item}] for item in items]

    @endpoint
    def handler(text: str | list[str]) -> object:
        return pipeline("text-generation", model="org/name")(text)

    assert handler({"text": "a"}, None)["body"] == {"generated_text": "a"}
    assert handler({"text": ["a", "b"]}, None)["body"] == [{"generated_text": "a"}, {"generated_text": "b"}]


def test_several_labels_stay_a_list(cache, warm, engine):
    warm()
    engine.results = lambda items: [[{"label": "A"}, {"label": "B"}] for _ in items]
    answer = pipeline("text-classification", model="org/name")("a", top_k=2)
    assert answer == [{"label": "A"}, {"label": "B"}]
    assert not isinstance(answer, Single)


def test_no_inputs_give_no_results_and_load_nothing(cache, engine):
    assert pipeline("text-classification", model="org/name")([]) == []
    assert engine.loads == []


def test_none_means_the_default(cache, warm, engine):
    warm()
    pipeline("summarization", model="org/name")("a", max_length=None, min_length=3)
    assert engine.calls == [(["a"], {"min_length": 3})]


def test_questions_come_as_objects_or_as_two_parameters(cache, warm, engine):
    warm()
    answer = pipeline("question-answering", model="org/name")
    one = {"question": "q", "context": "c"}
    answer(one)
    answer([one])
    answer(question="q", context="c")
    answer(question=["q", "r"], context="c")
    answer(question=["q", "r"], context=["c", "d"], top_k=2)
    two = {"question": "r", "context": "c"}
    assert [items for items, _ in engine.calls] == [
        [one], [one], [one], [one, two], [one, {"question": "r", "context": "d"}],
    ]  # fmt: skip
    assert engine.calls[-1][1] == {"top_k": 2}


def test_labels_may_follow_the_text(cache, warm, engine):
    warm()
    pipeline("zero-shot-classification", model="org/name")("a", ["x", "y"])
    assert engine.calls == [(["a"], {"candidate_labels": ["x", "y"]})]


@pytest.mark.parametrize(
    ("task", "given", "parameters", "message"),
    [
        ("text-classification", (3,), {}, "expected string, given integer"),
        ("text-classification", (["a", None],), {}, r"`\[1\]`: expected string, given null"),
        ("text-classification", ({"txt": "a"},), {}, "text_pair"),
        ("text-classification", ({"text": "a", "pair": "b"},), {}, "text_pair"),
        ("text-classification", (), {}, "one input or a list"),
        ("text-classification", ("a",), {"topk": 2}, "`topk`: expected one of the parameters top_k, "),
        ("text-classification", ("a",), {"top_k": 0}, "`top_k`: expected a whole number of at least 1"),
        ("ner", ("a",), {"aggregation_strategy": "x"}, "expected one of none, simple"),
        ("question-answering", ("a",), {}, "`question`: expected an object"),
        ("question-answering", ({"question": "q", "context": " "},), {}, "an empty context"),
        ("question-answering", (), {"question": ["a", "b"], "context": ["c"]}, "one context or 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_the_callers_mistake_and_loads_nothing(
    cache, engine, task, given, parameters, message
):
    with pytest.raises(BadRequest, match=message):
        pipeline(task, model="org/name")(*given, **parameters)
    assert engine.loads == []


def test_a_chat_is_one_input(cache, warm, engine):
    warm()
    chat = [{"role": "user", "content": "hello"}]
    ask = pipeline("text-generation", model="org/name")
    ask(chat)
    ask([chat, chat])
    assert [items for items, _ in engine.calls] == [[chat], [chat, chat]]


def test_words_of_one_text_are_one_input_when_split(cache, warm, engine):
    warm()
    tag = pipeline("ner", model="org/name", is_split_into_words=True)
    tag(["Sarah", "lives"])
    tag([["Sarah"], ["London"]])
    assert [items for items, _ in engine.calls] == [[["Sarah", "lives"]], [["Sarah"], ["London"]]]
    with pytest.raises(BadRequest, match="expected array of words, given string"):
        tag("Sarah lives")
