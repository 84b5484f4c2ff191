"""What a repository says of ranking, and how documents are ordered."""

from __future__ import annotations

import json

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.inputs import read_inputs
from hf_lambda.limits import MOST_DOCUMENTS, check_ranking
from hf_lambda.parameters import call_parameters
from hf_lambda.ranking import RankingRules, rank, read_rules
from hf_lambda.sentence_embedding import NotUnderstood


def repository(folder, config=None, **files):
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "LABEL_0"}, **(config or {})}))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.mark.parametrize(
    ("config", "settings", "activation"),
    [
        ({}, {}, "Sigmoid"),
        ({"sbert_ce_default_activation_function": IDENTITY}, {}, "Identity"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, {}, "Identity"),
        ({"sentence_transformers": {"version": "5"}}, {}, "Sigmoid"),
        ({"sbert_ce_default_activation_function": "own.module.Function"}, {}, "Sigmoid"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, {"activation_fn": "torch.nn.Tanh"}, "Tanh"),
    ],
)
def test_the_activation_is_the_one_that_the_authors_chose(tmp_path, config, settings, activation):
    found = read_rules(repository(tmp_path, config, config_sentence_transformers=settings))
    assert found.activation == activation
    assert RankingRules.from_json(json.loads(json.dumps(found.to_json()))).activation == activation


@pytest.mark.parametrize(
    ("config", "files", "reason"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, {}, "gives 3 scores for a pair"),
        ({"id2label": None}, {}, "gives 2 scores"),
        ({"sbert_ce_default_activation_function": "torch.nn.Softmax"}, {}, "none of Identity"),
        ({}, {"config_sentence_transformers": {"model_type": "SparseEncoder"}}, "it is a SparseEncoder"),
        ({}, {"modules": [{"type": "sentence_transformers.a.Transformer"}] * 2}, "Transformer alone"),
        ({}, {"modules": [{"type": "own.Transformer"}]}, "code of its own"),
        ({}, {"config_sentence_transformers": {"default_prompt_name": "q"}}, "none of its prompts"),
    ],
)
def test_what_ranks_nothing_is_refused_with_the_reason(tmp_path, config, files, reason):
    with pytest.raises(NotUnderstood, match=reason):
        read_rules(repository(tmp_path, config, **files))


def test_a_repository_says_how_texts_are_cut_and_what_goes_before_the_query(tmp_path):
    settings = {"prompts": {"web": "find: "}, "default_prompt_name": "web"}
    files = {"config_sentence_transformers": settings, "sentence_bert_config": {"max_seq_length": 48}}
    rules = read_rules(repository(tmp_path, {"max_position_embeddings": 80}, **files))
    assert rules.prompt == "find: "
    assert rules.limit({}, 64, 80) == 48
    assert rules.limit({"max_length": 12}, 64, 80) == 12
    assert rules.limit({"truncation": False}, 64, 80) is None
    assert RankingRules().limit({}, 64, 80) == 64
    assert RankingRules().limit({}, None, None) is None


def test_documents_come_best_first_and_equal_ones_in_their_order():
    by_length = {"query": "q", "documents": ["aa", {"text": "bbbb", "id": 7}, "cc", "d"]}
    other = {"query": "q", "documents": ["x", "yy"]}

    def score(pairs):
        return [len(text) for _, text in pairs]

    first, second, empty = rank([by_length, other, {"query": "q", "documents": []}], score, {})
    assert [found["index"] for found in first] == [1, 0, 2, 3]
    assert second == [{"index": 1, "score": 2}, {"index": 0, "score": 1}]
    assert empty == []
    [best] = rank([by_length], score, {"top_n": 2, "return_documents": True})
    assert best == [
        {"index": 1, "score": 4, "document": {"text": "bbbb", "id": 7}},
        {"index": 0, "score": 2, "document": "aa"},
    ]


def test_a_query_and_its_documents_come_in_every_way():
    one = {"query": "q", "documents": ["a", {"text": "b"}]}
    asked = dict(one)
    half = {"documents": one["documents"]}
    for given, parameters in (((one,), {}), (("q", one["documents"]), {}), ((), asked), (("q",), half)):
        assert read_inputs("text-ranking", given, parameters) == ([one], False)
    assert asked == half == {}
    assert read_inputs("text-ranking", ([one, one],), {}) == ([one, one], True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"query": "", "documents": []}, "query"),
        ({"query": 3, "documents": []}, "query"),
        ({"query": "q", "documents": "a"}, "documents"),
        ({"query": "q", "documents": ["a", None]}, "documents[1]"),
        ({"query": "q", "documents": [{"title": "a"}]}, "documents[0]"),
        ({"query": "q", "documents": [{"text": 3}]}, "documents[0]"),
        ({"query": "q"}, None),
        ({"query": "q", "documents": [], "more": 1}, None),
        ("q", None),
    ],
)
def test_what_is_no_query_with_documents_is_refused_with_its_place(given, field):
    with pytest.raises(BadRequest) as refusal:
        read_inputs("text-ranking", (given,), {})
    assert refusal.value.field == field
    with pytest.raises(BadRequest) as refusal:
        read_inputs("text-ranking", ([given],), {})
    assert refusal.value.field == ("[0]" if field is None else f"[0].{field}")


@pytest.mark.parametrize(
    ("name", "value"), [("top_n", 0), ("return_documents", "yes"), ("function_to_apply", "softmax")]
)
def test_parameters_are_checked_and_named(name, value):
    with pytest.raises(BadRequest) as refusal:
        call_parameters("text-ranking", {}, {name: value})
    assert refusal.value.field == name


def test_more_or_longer_documents_than_fit_are_refused(monkeypatch):
    many = {"query": "q", "documents": ["a"] * (MOST_DOCUMENTS // 2 + 1)}
    check_ranking([many])
    with pytest.raises(Unprocessable, match=f"{MOST_DOCUMENTS + 2} documents, a request may bring"):
        check_ranking([many, many])
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
    with pytest.raises(Unprocessable, match="the function's memory takes"):
        check_ranking([{"query": "q" * 100_000, "documents": ["a", "b" * 40_000]}])
