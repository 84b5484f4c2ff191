"""Tasks that transformers has: the same answers as its own pipelines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hf_lambda import deadline
from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.torch_engine import load
from hf_lambda.torch_engine.loading import load_tokenizer
from hf_lambda.torch_engine.pipelines import TransformersPipeline

TEXTS = ["we love this film", "the cat sat on the mat and the dog sat on the rug , very sad .", "bad"]


def theirs(task, folder, **options):
    import transformers

    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


def same(ours, expected):
    if isinstance(expected, dict):
        assert ours.keys() == expected.keys()
        for key in expected:
            same(ours[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(ours) == len(expected)
        for one, other in zip(ours, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float) or hasattr(expected, "dtype"):
        assert ours == pytest.approx(float(expected), abs=1e-5)
    else:
        assert ours == expected


@pytest.mark.parametrize(
    "parameters",
    [{}, {"top_k": 2}, {"top_k": 1}, {"function_to_apply": "sigmoid"}, {"truncation": True, "max_length": 5}],
)
def test_texts_are_classified_as_transformers_does(tiny, parameters):
    folder = tiny("BertForSequenceClassification", num_labels=3)
    expected = theirs("text-classification", folder)(TEXTS, **parameters)
    same(load("text-classification", folder)(TEXTS, **parameters), expected)


def test_a_text_with_its_pair_is_classified_as_transformers_does(tiny):
    folder = tiny("BertForSequenceClassification", num_labels=3)
    pairs = [
        {"text": "the cat", "text_pair": "the dog"},
        {"text": "we love this film", "text_pair": "a book"},
    ]
    same(load("text-classification", folder)(pairs), theirs("text-classification", folder)(pairs))


def test_a_text_longer_than_the_model_is_refused_with_both_numbers(tiny):
    engine = load("text-classification", tiny("BertForSequenceClassification", num_labels=3))
    with pytest.raises(Unprocessable, match=r"102 tokens, the model takes at most 64"):
        engine(["cat " * 100])
    assert engine(["cat " * 100], truncation=True)[0]["label"]


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_tokens_are_classified_as_transformers_does(tiny, strategy):
    folder = tiny("BertForTokenClassification", num_labels=5)
    texts = ["Sarah lives in London and works in Paris", "zebra in berlin"]
    expected = theirs("token-classification", folder)(texts, aggregation_strategy=strategy)
    same(load("ner", folder)(texts, aggregation_strategy=strategy), expected)


def test_a_long_text_is_read_with_a_stride_as_transformers_does(tiny):
    folder = tiny("BertForTokenClassification", num_labels=5)
    parameters = {"aggregation_strategy": "simple", "stride": 8}
    texts = ["sarah lives in london . " * 30, "paris"]
    same(
        load("ner", folder)(texts, **parameters), theirs("token-classification", folder)(texts, **parameters)
    )


def test_a_stride_needs_an_aggregation_strategy(tiny):
    engine = load("ner", tiny("BertForTokenClassification", num_labels=5))
    with pytest.raises(BadRequest, match="less than 62"):
        engine(["paris"], stride=62, aggregation_strategy="simple")


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"top_k": 1}, {"targets": ["cat", "dog"]}])
@pytest.mark.parametrize(
    "texts",
    [
        ["the [MASK] sat on the mat", "we [MASK] this very very good film"],
        ["the [MASK] sat on [MASK] mat", "we [MASK] this"],
        ["we [MASK] this"] * 2 + ["the [MASK] sat on the [MASK] with a very long text behind it"],
    ],
)
def test_masks_are_filled_as_transformers_does(tiny, parameters, texts):
    folder = tiny("BertForMaskedLM")
    engine, pipeline = load("fill-mask", folder), theirs("fill-mask", folder)
    for text in texts:  # one alone is where transformers takes a list apart
        same(engine([text], **parameters), [pipeline(text, **parameters)])
    same(load("fill-mask", folder)(texts, **parameters), theirs("fill-mask", folder)(texts, **parameters))


def test_a_long_text_with_a_mask_is_cut_where_asked(tiny):
    folder = tiny("BertForMaskedLM")
    engine, long = load("fill-mask", folder), ["the [MASK] sat " + "on the mat " * 30, "we [MASK] this"]
    cut = {"truncation": True, "max_length": 9}
    for tokens in ({"truncation": True}, cut):
        expected = theirs("fill-mask", folder)(long, tokenizer_kwargs=tokens)
        same(engine(long, **tokens), expected)
        same(engine(long, **tokens), expected)
    with pytest.raises(Unprocessable, match="the model takes at most 64"):
        engine(long)


def test_a_text_without_a_mask_is_unprocessable(tiny):
    with pytest.raises(Unprocessable, match="mask"):
        load("fill-mask", tiny("BertForMaskedLM"))(["no mask here"])


INFERENCE_LABELS = {
    "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"},
    "label2id": {"contradiction": 0, "neutral": 1, "entailment": 2},
}


@pytest.mark.parametrize("parameters", [{}, {"multi_label": True}, {"hypothesis_template": "this is {}"}])
def test_labels_are_ranked_as_transformers_does(tiny, parameters):
    folder = tiny("BertForSequenceClassification", **INFERENCE_LABELS)
    parameters = {"candidate_labels": ["technology", "sport", "politics"], **parameters}
    expected = theirs("zero-shot-classification", folder)(TEXTS, **parameters)
    same(load("zero-shot-classification", folder)(TEXTS, **parameters), expected)


def test_text_is_continued_as_transformers_does(tiny):
    folder = tiny("GPT2LMHeadModel")
    texts = ["the cat sat on", "we love", "where is the city"]
    parameters = {"max_new_tokens": 8, "do_sample": False}
    expected = [theirs("text-generation", folder)(text, **parameters) for text in texts]
    same(load("text-generation", folder)(texts, **parameters), expected)


@pytest.mark.parametrize(
    ("task", "architecture", "parameters", "rows"),
    [
        ("text-classification", "BertForSequenceClassification", {}, 15),  # 4 tokens each, of 60
        (
            "zero-shot-classification",
            "BertForSequenceClassification",
            {"candidate_labels": ["cat", "dog"]},
            8,
        ),
        ("text-generation", "GPT2LMHeadModel", {"max_new_tokens": 8}, 5),
        ("text-generation", "GPT2LMHeadModel", {"max_new_tokens": 8, "num_beams": 2}, 3),
    ],
)
def test_no_batch_holds_more_tokens_than_the_bound(tiny, monkeypatch, task, architecture, parameters, rows):
    monkeypatch.setattr("hf_lambda.torch_engine.pipelines.MAX_PADDED_TOKENS", 60)
    labels = {}
    if task == "zero-shot-classification":
        parameters = {**parameters, "hypothesis_template": "{}"}  # 3 tokens: [CLS], a label, [SEP]
        labels = INFERENCE_LABELS
    engine = TransformersPipeline(task, tiny(architecture, **labels))
    sizes, run = [], engine._pipeline

    def watched(group, **given):
        sizes.append((len(group), given["batch_size"]))
        return run(group, **given)

    monkeypatch.setattr(engine, "_pipeline", watched)
    assert len(engine(["the cat"] * 20, **parameters)) == 20
    assert sizes[0] == (rows, rows)
    assert max(size for size, _ in sizes) == rows


def test_a_prompt_must_leave_room_for_the_answer(tiny):
    engine = load("text-generation", tiny("GPT2LMHeadModel"))
    assert len(engine(["cat " * 30], do_sample=False)[0][0]["generated_text"].split()) > 30
    with pytest.raises(Unprocessable, match=r"has 42 tokens, the model holds 64 .* at most 22 new tokens"):
        engine(["cat " * 40], max_new_tokens=23)


def test_sampled_text_is_the_same_for_the_same_seed(tiny):
    engine = load("text-generation", tiny("GPT2LMHeadModel"))
    parameters = {"max_new_tokens": 12, "do_sample": True}
    first = engine(["the cat"], seed=7, **parameters)
    assert engine(["the cat"], seed=7, **parameters) == first
    assert engine(["the cat"], seed=8, **parameters) != first


def test_words_are_classified_as_transformers_does(tiny):
    folder = tiny("BertForTokenClassification", num_labels=5)
    texts = [["Sarah", "lives", "in", "London"], ["zebra", "in", "berlin"]]
    parameters = {"is_split_into_words": True, "aggregation_strategy": "first"}
    same(
        load("ner", folder)(texts, **parameters), theirs("token-classification", folder)(texts, **parameters)
    )


def test_a_chat_is_continued_as_transformers_does(tiny):
    folder = tiny("GPT2LMHeadModel", n_inner=64)
    template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    chats = [
        [{"role": "user", "content": "the cat sat"}],
        [{"role": "user", "content": "where is the dog on"}],
    ]
    parameters = {"max_new_tokens": 5, "do_sample": False}
    expected = [theirs("text-generation", folder)(chat, **parameters) for chat in chats]
    same(load("text-generation", folder)(chats, **parameters), expected)


def test_targets_that_are_no_token_at_all_are_a_bad_request(tiny):
    with pytest.raises(BadRequest, match="targets"):
        load("fill-mask", tiny("BertForMaskedLM"))(["we [MASK] this film"], targets=["\u202e\u0301", " "])


def test_more_candidates_than_the_vocabulary_has_are_all_of_it(tiny):
    engine = load("fill-mask", tiny("BertForMaskedLM"))
    [answer] = engine(["we [MASK] this film"], top_k=10**6)
    assert len(answer) == len(load_tokenizer(tiny("BertForMaskedLM")))


def test_chats_and_texts_side_by_side_are_answered_in_their_order(tmp_path):
    from tests import tiny_decoders

    engine = load("text-generation", tiny_decoders.snapshot("llama", tmp_path))
    chat = [{"role": "user", "content": "who are you"}]
    mixed = engine([chat, "a text", chat, "another"], max_new_tokens=3, do_sample=False)
    alone = [
        engine([item], max_new_tokens=3, do_sample=False)[0] for item in (chat, "a text", chat, "another")
    ]
    assert mixed == alone


def test_no_model_is_run_any_more_once_the_time_is_up(tiny):
    engine = load("text-classification", tiny("BertForSequenceClassification"))
    assert engine(["we love this"])
    deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 0))
    try:
        with pytest.raises(Unprocessable, match="timeoutSeconds"):
            engine(["we love this"])
    finally:
        deadline.end()
    assert engine(["we love this"])


def _time_is_up(*_: object) -> None:
    deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 0))


@pytest.mark.parametrize("runs_out", ["in the first layer", "in the last layer"])
def test_time_that_runs_out_within_a_run_is_seen_before_the_next_layer_and_the_answer(tiny, runs_out):
    engine: Any = load("text-classification", tiny("BertForSequenceClassification"))
    seen = []
    first, *_, last = engine._model.bert.encoder.layer
    last.register_forward_hook(lambda *_: seen.append("last"))
    (first if runs_out == "in the first layer" else last).register_forward_hook(_time_is_up)
    try:
        with pytest.raises(Unprocessable, match="timeoutSeconds"):
            engine(["we love this"])
    finally:
        deadline.end()
    assert seen == ([] if runs_out == "in the first layer" else ["last"])
