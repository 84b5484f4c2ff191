"""text-embeddings-inference's API over pipelines: routes, defaults, shapes and errors, without HTTP."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hf_lambda import pipeline, tei
from hf_lambda.api_keys import API_KEYS, digest_of
from hf_lambda.errors import ColdCache, Unprocessable
from hf_lambda.pipeline import LoadedEngine
from hf_lambda.ranking import rank
from hf_lambda.tei_api import MAX_BATCH
from tests.http_events import ask_http


class Embedder:
    """A vector of a text's length and its letters; tells how it was asked."""

    max_tokens = 64

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.fails: Exception | None = None

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        self.asked.append((inputs, parameters))
        if self.fails:
            raise self.fails
        if parameters.get("pooling") == "none":
            return [[[[1.0, 0.0], [0.0, 2.0]]] for _ in inputs]
        vectors = [[3.0, 0.0, 4.0] if "cat" in text else [0.0, 5.0, 0.0] for text in inputs]
        scale = 5.0 if parameters.get("normalize") else 1.0
        return [[value / scale for value in vector] for vector in vectors]

    def count_tokens(self, texts: list[str]) -> int:
        return 3 * len(texts)


class Ranker:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, inputs: list[Any], **parameters: Any) -> list[Any]:
        self.asked.append(parameters)
        return rank(inputs, lambda pairs: [len(text) / 10 for _, text in pairs], parameters)

    def count_tokens(self, pairs: list[Any]) -> int:
        return 7 * len(pairs)


def served(task, engine, monkeypatch, **options):
    made = pipeline(task, model="org/name", revision="main", **options)
    monkeypatch.setattr(made, "_loaded", lambda: LoadedEngine(engine, "onnx-int8", 0.0, []))
    return made


@pytest.fixture
def embedder():
    return Embedder()


@pytest.fixture
def ranker():
    return Ranker()


@pytest.fixture
def both(embedder, ranker, monkeypatch):
    embed = served("feature-extraction", embedder, monkeypatch)
    return tei(embed, rerank=served("text-ranking", ranker, monkeypatch))


def test_texts_are_embedded_with_the_defaults_of_tei(both, embedder):
    assert ask_http(both, "/embed", {"inputs": "a cat"}) == (200, [[0.6, 0.0, 0.8]])
    assert ask_http(both, "/embed", {"inputs": ["a cat", "x"]}) == (200, [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    expected = {"pooling": "auto", "prompt": "", "normalize": True, "truncation": True}
    assert [parameters for _, parameters in embedder.asked] == [expected] * 2


def test_a_request_says_how_texts_are_read(both, embedder):
    body = {
        "inputs": ["a cat"],
        "normalize": False,
        "truncate": False,
        "truncation_direction": "Left",
        "prompt_name": "query",
        "dimensions": None,
    }
    assert ask_http(both, "/embed", body) == (200, [[3.0, 0.0, 4.0]])
    assert embedder.asked[0][1] == {
        "pooling": "auto",
        "prompt_name": "query",
        "normalize": False,
        "truncation": False,
        "truncation_side": "left",
    }


def test_the_scripts_own_pooling_and_prompt_count(embedder, monkeypatch):
    own = {"pooling": "cls", "prompt": "passage: "}
    handler = tei(served("feature-extraction", embedder, monkeypatch, **own))
    ask_http(handler, "/embed", {"inputs": "x"})
    ask_http(handler, "/embed", {"inputs": "x", "prompt_name": "query"})
    first, second = (parameters for _, parameters in embedder.asked)
    assert (first["pooling"], first["prompt"], "prompt_name" in first) == ("cls", "passage: ", False)
    assert (second["pooling"], second["prompt_name"], "prompt" in second) == ("cls", "query", False)


def test_a_vector_is_cut_and_its_length_is_one_again(both):
    assert ask_http(both, "/embed", {"inputs": "cat", "dimensions": 1}) == (200, [[1.0]])
    assert ask_http(both, "/embed", {"inputs": "cat", "dimensions": 1, "normalize": False}) == (200, [[3.0]])
    status, answer = ask_http(both, "/embed", {"inputs": "cat", "dimensions": 4})
    assert (status, answer["error_type"]) == (400, "Validation")
    assert "a whole number from 1 to 3" in answer["error"]


def test_every_token_has_a_vector_where_all_are_asked_for(both, embedder):
    status, answer = ask_http(both, "/embed_all", {"inputs": ["a", "b"], "prompt_name": "query"})
    assert (status, answer) == (200, [[[1.0, 0.0], [0.0, 2.0]]] * 2)
    assert embedder.asked[0][1]["pooling"] == "none" and embedder.asked[0][1]["prompt_name"] == "query"


def test_similarity_is_the_cosine(both):
    asked = {"source_sentence": "cat", "sentences": ["cat", "dog"]}
    assert ask_http(both, "/similarity", {"inputs": asked}) == (200, [pytest.approx(1.0), 0.0])
    assert ask_http(both, "/similarity", {"inputs": asked, "parameters": {"truncate": True}})[0] == 200


def test_documents_are_ranked_in_teis_shape_and_in_jinas(both, ranker):
    body: dict[str, Any] = {"query": "q", "texts": ["a", "bbb", "cc"]}
    assert ask_http(both, "/rerank", body)[1] == [
        {"index": 1, "score": 0.3},
        {"index": 2, "score": 0.2},
        {"index": 0, "score": 0.1},
    ]
    best = ask_http(both, "/rerank", {**body, "return_text": True, "raw_scores": True})[1][0]
    assert best == {"index": 1, "text": "bbb", "score": 0.3}
    assert [asked["function_to_apply"] for asked in ranker.asked] == ["sigmoid", "none"]
    body = {"model": "any", "query": "q", "documents": ["a", {"text": "bbb"}], "top_n": 5}
    status, answer = ask_http(both, "/v1/rerank", {**body, "return_documents": True})
    assert status == 200
    assert answer["results"][0] == {"index": 1, "relevance_score": 0.3, "document": {"text": "bbb"}}
    assert len(answer["results"]) == 2 and answer["usage"]["total_tokens"] == 14
    assert answer["id"].startswith("rerank-")
    assert "results" in ask_http(both, "/rerank", {"query": "q", "documents": ["a"]})[1]


def test_openais_embeddings_are_there_under_both_names(both):
    for path in ("/v1/embeddings", "/embeddings"):
        status, answer = ask_http(both, path, {"model": "whatever", "input": ["a cat"]})
        assert (status, answer["data"][0]["embedding"]) == (200, [0.6, 0.0, 0.8])


@pytest.mark.parametrize("path", ["/", "/invocations"])
def test_without_a_path_the_fields_tell_what_is_asked_for(both, path):
    asked = {"source_sentence": "cat", "sentences": ["cat"]}
    assert ask_http(both, path, {"inputs": asked})[1] == [pytest.approx(1.0)]
    assert ask_http(both, path, {"inputs": "cat"})[1] == [[0.6, 0.0, 0.8]]
    assert ask_http(both, path, {"query": "q", "texts": ["a"]})[1] == [{"index": 0, "score": 0.1}]
    assert "results" in ask_http(both, path, {"query": "q", "documents": ["a"]})[1]
    assert both({"inputs": "cat"}) == {"statusCode": 200, "body": [[0.6, 0.0, 0.8]]}


def test_a_gateways_stage_may_come_before_the_path(both):
    assert ask_http(both, "/prod/embed/", {"inputs": "cat"})[0] == 200
    assert ask_http(both, "/prod/v1/rerank", {"query": "q", "documents": ["a"]})[0] == 200


def test_a_model_tells_of_itself_and_whether_it_is_there(both, embedder, monkeypatch):
    status, info = ask_http(both, "/info")
    assert (status, info["model_id"], info["model_dtype"], info["max_input_length"]) == (
        *(200, "org/name"),
        *("int8", 64),
    )
    assert info["model_type"] == {"embedding": {"pooling": "auto"}}
    for path, method in itertools.product(("/health", "/ping", "/"), ("GET", "HEAD")):
        assert ask_http(both, path, method=method)[0] == 200

    def cold():
        raise ColdCache("warm it: python -m warmup")

    embed = served("feature-extraction", embedder, monkeypatch)
    monkeypatch.setattr(embed, "_loaded", cold)
    status, answer = ask_http(tei(embed), "/health")
    assert (status, answer["error_type"]) == (503, "Unhealthy") and "python -m warmup" in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "text"),
    [
        ("/embed", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {"inputs": [[1, 2]]}, 400, "Validation", "token ids"),
        ("/embed", {"inputs": [1, 2]}, 400, "Validation", "token ids"),
        ("/embed", {"inputs": {"a": 1}}, 400, "Validation", "`inputs`"),
        ("/embed", {}, 400, "Validation", "`inputs`"),
        ("/embed", {"inputs": "a", "normalise": True}, 400, "Validation", "normalise"),
        ("/embed", {"inputs": "a", "truncate": "yes"}, 400, "Validation", "truncate"),
        ("/embed", {"inputs": "a", "truncation_direction": "up"}, 400, "Validation", "Left or Right"),
        ("/embed", {"inputs": "a", "prompt_name": 3}, 400, "Validation", "prompt_name"),
        ("/embed", {"inputs": ["a"] * (MAX_BATCH + 1)}, 422, "Validation", "maximum allowed batch size"),
        ("/embeddings", {"input": ["a"] * (MAX_BATCH + 1)}, 422, "Validation", "maximum allowed batch size"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "Empty", "sentences"),
        ("/similarity", {"inputs": {"source_sentence": 1, "sentences": ["a"]}}, 400, "Validation", "source"),
        ("/similarity", {"inputs": "a"}, 400, "Validation", "`inputs`"),
        ("/rerank", {"query": "q", "texts": []}, 400, "Empty", "`texts` cannot be empty"),
        ("/rerank", {"texts": ["a"]}, 400, "Validation", "query"),
        ("/rerank", {"query": "q", "texts": ["a"], "top_n": 3}, 400, "Validation", "top_n"),
        ("/nothing", {"inputs": "a"}, 404, "Backend", "no such path: POST /nothing"),
    ],
)
def test_errors_have_teis_shape(both, path, body, status, kind, text):
    found, answer = ask_http(both, path, body)
    assert (found, set(answer), answer["error_type"]) == (status, {"error", "error_type"}, kind)
    assert text in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/rerank", {"query": "q", "documents": ["a"], "top_n": 0}, "top_n"),
        ("/v1/rerank", {"query": "q", "documents": "a"}, "documents"),
        ("/v1/rerank", {"query": "q", "documents": [3]}, "documents[0]"),
        ("/v1/embeddings", {"input": [[1, 2]]}, "input"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_errors_of_v1_have_openais_shape(both, path, body, param):
    status, answer = ask_http(both, path, body)
    assert (status, answer["error"]["param"]) == (400, param)


def test_what_the_model_cannot_take_and_our_own_faults_are_told_apart(both, embedder):
    embedder.fails = Unprocessable(None, "the text has 99 tokens, the model takes 64")
    assert ask_http(both, "/embed", {"inputs": "a", "truncate": False})[0] == 422
    embedder.fails = RuntimeError("secret")
    status, answer = ask_http(both, "/embed", {"inputs": "a"})
    assert (status, answer["error_type"]) == (500, "Backend") and "secret" not in answer["error"]


def test_a_key_is_asked_for_where_the_endpoint_has_some(both, monkeypatch):
    monkeypatch.setenv(API_KEYS, digest_of("k" * 40))
    assert ask_http(both, "/embed", {"inputs": "a"})[0] == 401
    assert ask_http(both, "/embed", {"inputs": "a"}, authorization=f"Bearer {'k' * 40}")[0] == 200


def test_a_handler_serves_what_it_was_given_and_nothing_else(ranker, monkeypatch):
    only = tei(rerank=served("text-ranking", ranker, monkeypatch))
    assert ask_http(only, "/embed", {"inputs": "a"})[0] == 404
    assert ask_http(only, "/rerank", method="GET")[1]["error"] == "/rerank takes POST, not GET"
    assert ask_http(only, "/info")[1]["model_type"]["reranker"]["id2label"] == {"0": "LABEL_0"}
    with pytest.raises(TypeError, match=r"tei\(embed=text-ranking\): it takes feature-extraction"):
        tei(served("text-ranking", ranker, monkeypatch))
    with pytest.raises(TypeError, match="nothing to serve"):
        tei()
