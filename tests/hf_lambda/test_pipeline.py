"""Pipelines as scripts declare them: at no cost, loaded from the cache, in the background inside Lambda."""

from __future__ import annotations

import json
import threading

import pytest

from hf_lambda import cold, endpoint, engines, pipeline, tasks
from hf_lambda.background import Future
from hf_lambda.errors import BadRequest, ColdCache, EngineUnavailable
from hf_lambda.manifest import NotPreparedEntry, read_manifest

COMMIT = "b" * 40


def test_declaring_outside_lambda_loads_nothing_and_the_first_call_loads_once(cache, warm, engine):
    warm()
    classify = pipeline("sentiment-analysis", model="org/name", top_k=2)
    assert engine.loads == []
    classify("a")
    classify("b", top_k=3)
    assert engine.loads == [("torch", "text-classification", COMMIT)]
    assert engine.calls == [(["a"], {"top_k": 2}), (["b"], {"top_k": 3})]


def test_a_declared_none_asks_for_all_labels_as_in_transformers_and_else_for_nothing(cache, warm, engine):
    warm()
    pipeline("sentiment-analysis", model="org/name", top_k=None, truncation=None)("a")
    pipeline("fill-mask", model="org/name", top_k=None)("a")
    assert [parameters for _, parameters in engine.calls] == [{"top_k": None}, {}]


def test_a_none_in_a_call_asks_for_all_labels_unless_it_is_a_handlers_own_default(cache, warm, engine):
    warm()
    classify = pipeline("sentiment-analysis", model="org/name")

    @endpoint
    def handler(text: str, top_k: int | None = None) -> object:
        return classify(text, top_k=top_k, truncation=None)

    classify("a", top_k=None, truncation=None)
    handler({"text": "b"}, None)
    handler({"text": "c", "top_k": None}, None)
    handler({"inputs": "d", "parameters": {"top_k": None}}, None)
    classify("e", top_k=None)
    pipeline("fill-mask", model="org/name")("f", top_k=None)
    asked = [(items[0], parameters) for items, parameters in engine.calls]
    every = {"top_k": None}
    assert asked == [("a", every), ("b", {}), ("c", every), ("d", every), ("e", every), ("f", {})]


def test_the_words_of_one_text_are_answered_in_a_list_as_in_transformers(cache, warm, engine):
    warm()
    recognize = pipeline("ner", model="org/name", is_split_into_words=True)
    engine.results = lambda items: [[{"entity": "O", "words": len(words)}] for words in items]
    one = recognize(["a", "b"])
    assert one == [[{"entity": "O", "words": 2}]]
    assert recognize([["a", "b"]]) == one
    assert endpoint(lambda text: recognize(text))({"text": ["a", "b"]}, None)["body"] == one[0]


def test_inside_lambda_loading_begins_at_once_in_the_background(cache, warm, engine, monkeypatch):
    warm()
    loaded = threading.Event()
    monkeypatch.setattr(engines, "choose", lambda *given, **how: loaded.set())
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    pipeline("text-classification", model="org/name")
    assert loaded.wait(timeout=60)


@pytest.mark.parametrize("how", ["provisioned-concurrency", "snap-start", "lambda-managed-instances"])
def test_an_instance_that_is_made_ahead_is_loaded_and_has_inferred_once(
    cache, warm, engine, monkeypatch, how
):
    """AWS: "your initialization code can run for up to 15 minutes", and then the instance is frozen.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
    warm()
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", how)
    classify = pipeline("text-classification", model="org/name")
    assert (len(engine.loads), len(engine.calls)) == (1, 1)
    classify("a")
    assert len(engine.loads) == 1


def test_an_instance_that_is_made_ahead_of_a_warm_up_says_so_and_answers_once_warmed(
    cache, warm, engine, monkeypatch, capsys
):
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")
    classify = pipeline("text-classification", model="org/name")
    (line,) = (json.loads(each) for each in capsys.readouterr().out.splitlines())
    assert (line["event"], line["model"], line["error"]["type"]) == ("not_ready", "org/name", "ColdCache")
    with pytest.raises(ColdCache):
        classify("a")
    warm()
    assert classify("a") == [{"label": "a"}]


def test_a_cold_cache_is_503_with_the_command_and_works_once_warmed(cache, warm, engine):
    classify = pipeline("text-classification", model="org/name")
    with pytest.raises(ColdCache, match="make warm STACK=test"):
        classify("a")
    warm()
    assert classify("a") == [{"label": "a"}]


def test_a_cache_that_was_cold_at_init_and_is_warm_at_the_call_just_works(cache, warm, engine):
    classify = pipeline("text-classification", model="org/name")
    looked = threading.Event()
    load = classify._load

    def spy():
        try:
            return load()
        finally:
            looked.set()

    classify._engine = Future(spy).start()
    assert looked.wait(timeout=60)
    warm()
    assert classify("a") == [{"label": "a"}]


def test_two_models_load_one_after_the_other(cache, warm, engine, monkeypatch):
    warm()
    first_may_end, order = threading.Event(), []

    def load(choice, task, snapshot, options, consent=None):
        order.append(f"{task} begins")
        if task == "fill-mask":
            first_may_end.wait(timeout=60)
        order.append(f"{task} ends")
        return engine

    monkeypatch.setattr(engines, "load", load)
    first, second = (pipeline(task, model="org/name") for task in ("fill-mask", "text-classification"))
    first.start()
    second.start()
    first_may_end.set()
    first("a")
    second("a")
    assert [line.partition(" ")[0] for line in order[::2]] == [line.partition(" ")[0] for line in order[1::2]]


def test_with_cold_download_the_first_call_fetches(cache, warm, engine, monkeypatch):
    monkeypatch.setenv("COLD_DOWNLOAD", "1")
    fetched = []

    def download(where, model, revision, environ):
        fetched.append((where, model, revision))
        warm()
        return read_manifest(where, model, revision)

    monkeypatch.setattr(cold, "download", download)
    classify = pipeline("text-classification", model="org/name", engine="onnx")
    classify("a")
    classify("b")
    assert fetched == [(cache, "org/name", None)]
    assert engine.loads[0][0] == "torch"


def test_a_model_that_is_not_prepared_for_onnx_is_503(cache, warm):
    refused = NotPreparedEntry("sequence-classification", "auto", "labels differ")
    warm(not_prepared=(refused,))
    with pytest.raises(EngineUnavailable, match="labels differ"):
        pipeline("text-classification", model="org/name", engine="onnx")("a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engin": "onnx"}, "`engin` is not an option of text-classification"),
        ({"engine": "tensorrt"}, "`engine='tensorrt'`: write one of auto, onnx, torch"),
        ({"precision": "fp16"}, "`precision='fp16'`: write one of auto, fp32, int8"),
        ({"tokenizer": "org/other"}, "`tokenizer='org/other'` is not supported here"),
        ({"top_k": "all"}, "`top_k='all'`: write a whole number of at least 1"),
    ],
)
def test_an_option_that_is_not_supported_stops_the_script(options, message):
    with pytest.raises(ValueError, match=message):
        pipeline("text-classification", model="org/name", **options)


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(ValueError, match=r"`a` is not.*; `b` is not"):
        pipeline("text-classification", a=1, b=2)


def test_what_transformers_takes_by_position_is_taken(cache):
    declared = pipeline("text-classification", "org/name", None, None, None, None, None, None, "v1")
    assert (declared.model, declared.revision) == ("org/name", "v1")


def test_without_a_model_the_well_known_one_is_taken_at_its_commit():
    declared = pipeline("summarization")
    assert (declared.model, declared.revision) == tasks.DEFAULTS["summarization"]


def test_a_request_is_logged_with_its_engine_and_load_time_once(cache, warm, engine, capsys):
    warm()
    classify = pipeline("text-classification", model="org/name")

    @endpoint
    def handler(text: str) -> object:
        return classify(text)

    for _ in range(2):
        handler({"text": "a"}, None)
    cold_line, warm_line = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (cold_line["engine"], warm_line["engine"]) == ("torch", "torch")
    assert cold_line["load_ms"] > 0 == warm_line["load_ms"]


def test_a_script_answers_from_a_warmed_cache_with_a_real_model(cache, warm, tiny):
    warm(tiny("BertForSequenceClassification", num_labels=3))
    classify = pipeline("text-classification", model="org/name", engine="torch")

    @endpoint
    def handler(text: str | list[str], top_k: int | None = None) -> object:
        return classify(text, top_k=top_k)

    one = handler({"text": "we love this film"}, None)
    assert one["body"].keys() == {"label", "score"}
    assert handler({"text": ["we love this film"]}, None)["body"] == [one["body"]]
    assert len(handler({"text": "we love this film", "top_k": 3}, None)["body"]) == 3
    too_long = handler({"text": "cat " * 100}, None)
    assert (too_long["statusCode"], too_long["body"]["error"]["type"]) == (422, "Unprocessable")


def test_what_a_model_is_loaded_with_is_no_parameter_of_its_calls(cache, warm, engine, monkeypatch):
    warm()
    given = []

    def load(choice, task, snapshot, options, consent=None):
        given.append(options)
        return engine

    monkeypatch.setattr(engines, "load", load)
    generate = pipeline("text-generation", model="org/name", max_context=64, top_k=3)
    generate("a")
    assert given == [{"max_context": 64}]
    assert engine.calls == [(["a"], {"top_k": 3})]
    with pytest.raises(BadRequest, match="`max_context`"):
        generate("a", max_context=8)
