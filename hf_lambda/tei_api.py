"""The HTTP API of text-embeddings-inference over pipelines: embeddings, similarity, rerankers.

Shapes, defaults and errors are those of its router at commit 0d124dc9773be6ac5a9a57d8439aba9bbbf33273:
https://github.com/huggingface/text-embeddings-inference/tree/main/router/src/http (types.rs, server.rs),
the same as in https://huggingface.github.io/text-embeddings-inference/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from . import events
from .endpoint import LambdaHandler, RequestHandler
from .errors import BadRequest, NotFound, Unprocessable, openai_error
from .events import method_and_path, without_stage
from .limits import MOST_DOCUMENTS
from .openai_embeddings import cut, embeddings, texts_of
from .pipeline import Pipeline
from .ranking import text_of
from .records import Json
from .sentence_embedding import NO_POOLING
from .signature import json_type
from .streaming import Stream

MAX_BATCH = MOST_DOCUMENTS
"""Texts of one request."""
_HEALTH = ("/health", "/ping")
_BY_SHAPE = ("/", "/invocations")
"""Paths that a request is sent to without saying what it asks for: its fields tell."""
_DIRECTIONS = ("Left", "left", "Right", "right")
_ERRORS = {400: "Validation", 413: "Validation", 422: "Validation", 503: "Unhealthy"}
_ANY_LENGTH = 1_000_000
"""Tokens: what a static model takes has no bound of its own."""
_Route: TypeAlias = Callable[[dict[str, Json]], Json]


def tei(embed: Pipeline | None = None, *, rerank: Pipeline | None = None) -> LambdaHandler:
    """A Lambda handler that clients of text-embeddings-inference talk to: `handler = tei(embed)`.

    A pipeline of feature-extraction answers /embed, /embed_all, /similarity and /v1/embeddings, one of
    text-ranking, `tei(rerank=rank)`, /rerank and /v1/rerank; both go into one handler. Raises TypeError for
    others.
    """
    for name, served, task in (("embed", embed, "feature-extraction"), ("rerank", rerank, "text-ranking")):
        if served is not None and served.task != task:
            raise TypeError(f"tei({name}={served.task}): it takes {task}")
    if embed is None and rerank is None:
        raise TypeError("tei() has nothing to serve: write tei(embed) or tei(rerank=rank)")
    api = _Api(embed, rerank)

    def handler(event: Json, context: object = None) -> Stream | dict[str, Json]:
        return api.answer(event, context)

    return handler


class Empty(BadRequest):
    """400: there is no text."""


class _Api(RequestHandler):
    def __init__(self, embed: Pipeline | None, rerank: Pipeline | None) -> None:
        super().__init__("tei")
        self._served = [served for served in (embed, rerank) if served is not None]
        self._routes: dict[str, _Route] = {}
        if embed is not None:
            embedding = _Embedding(embed)
            self._routes |= {
                "/embed": embedding.embed,
                "/embed_all": embedding.embed_all,
                "/similarity": embedding.similarity,
                "/embeddings": embedding.openai,
                "/v1/embeddings": embedding.openai,
            }
        if rerank is not None:
            ranking = _Ranking(rerank)
            self._routes |= {"/rerank": ranking.rerank, "/v1/rerank": ranking.openai}

    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        method, path = self._asked(event) if http else ("POST", "/")
        if method == "GET" and path == "/info":
            return self._info()
        if method == "GET" and path in (*_HEALTH, "/"):
            for served in self._served:
                served.loaded_as()
            return {}
        body = events.read(event).fields if method == "POST" else {}
        path = self._by_shape(body) if method == "POST" and path in _BY_SHAPE else path
        if path not in self._routes:
            known = ", ".join([*self._routes, "/info", *_HEALTH])
            raise NotFound(f"no such path: {method} {path}; this endpoint has {known}")
        if method != "POST":
            raise NotFound(f"{path} takes POST, not {method}")
        return self._routes[path](body)

    def _asked(self, event: Json) -> tuple[str, str]:
        method, path = method_and_path(event)
        return method, without_stage(path, [*self._routes, "/info", *_HEALTH, *_BY_SHAPE])

    def _by_shape(self, body: Mapping[str, Json]) -> str:
        inputs = body.get("inputs")
        if isinstance(inputs, dict) and "source_sentence" in inputs:
            return "/similarity"
        for field, path in (("texts", "/rerank"), ("documents", "/v1/rerank"), ("input", "/v1/embeddings")):
            if field in body:
                return path
        return "/embed" if "/embed" in self._routes else "/rerank"

    def _error_body(self, body: dict[str, Json], status: int, event: Json) -> dict[str, Json]:
        if events.is_http(event) and "/v1/" in method_and_path(event)[1]:
            return openai_error(body, status)
        error = body["error"]
        message = f"{error['message']}: {error['id']}" if "id" in error else error["message"]
        kind = "Empty" if error.get("type") == "Empty" else _ERRORS.get(status, "Backend")
        return {"error": message, "error_type": kind}

    def _info(self) -> dict[str, Json]:
        """Of the first pipeline: text-embeddings-inference serves one model."""
        served = self._served[0]
        label, longest = served.loaded_as(), served.max_tokens() or _ANY_LENGTH
        kinds = {
            "feature-extraction": {"embedding": {"pooling": served.defaults.get("pooling", "auto")}},
            "text-ranking": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        }
        return {
            "model_id": served.model,
            "model_sha": served.revision,
            "model_dtype": {"onnx-int8": "int8"}.get(label, "float32"),
            "served_model_name": served.model,
            "model_type": kinds[served.task],
            "max_concurrent_requests": 1,
            "max_input_length": longest,
            "max_batch_tokens": longest * MAX_BATCH,
            "max_batch_requests": None,
            "max_client_batch_size": MAX_BATCH,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": "hf-lambda",
            "sha": None,
            "docker_label": None,
        }


class _Embedding:
    def __init__(self, served: Pipeline) -> None:
        self._served = served

    def embed(self, body: dict[str, Json]) -> Json:
        texts = _inputs(body)
        _check_fields(body, {"inputs", "normalize", "dimensions", *_READING})
        normalize, dimensions = _switch(body, "normalize", default=True), body.get("dimensions")
        vectors = self._vectors(texts, body, normalize=normalize)
        return [cut(vector, dimensions, normalize=normalize) for vector in vectors]

    def embed_all(self, body: dict[str, Json]) -> Json:
        texts = _inputs(body)
        _check_fields(body, {"inputs", *_READING})
        found = self._served(texts, pooling=NO_POOLING, normalize=False, **_reading(body))
        return [tokens[0] for tokens in found]

    def similarity(self, body: dict[str, Json]) -> Json:
        inputs, parameters = body.get("inputs"), body.get("parameters") or {}
        if not isinstance(inputs, dict) or not isinstance(parameters, dict):
            raise BadRequest("inputs", "an object of source_sentence and sentences", json_type(inputs))
        source, sentences = inputs.get("source_sentence"), inputs.get("sentences")
        if not isinstance(source, str):
            raise BadRequest("inputs.source_sentence", "string", json_type(source))
        if sentences == []:
            raise Empty("inputs.sentences", "a sentence", "nothing", "`inputs.sentences` cannot be empty")
        _check_fields(parameters, set(_READING))
        texts = [source, *texts_of(sentences, "inputs.sentences")]
        _check_batch(texts)
        first, *others = self._vectors(texts, parameters, normalize=True)
        return [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]

    def openai(self, body: dict[str, Json]) -> Json:
        given = {**body, "input": _without_ids(body.get("input"), "input")}
        if isinstance(given["input"], list):
            _check_batch(given["input"])
        return embeddings(self._served, given, {"normalize": True, **self._pooling({})})

    def _vectors(self, texts: list[str], body: Mapping[str, Json], *, normalize: bool) -> list[Json]:
        chosen = {"normalize": normalize, **self._pooling(body), **_reading(body)}
        vectors: list[Json] = self._served(texts, **chosen)
        return vectors

    def _pooling(self, body: Mapping[str, Json]) -> dict[str, Json]:
        declared = self._served.defaults
        chosen: dict[str, Json] = {} if "pooling" in declared else {"pooling": "auto"}
        # "If not set, no prompt will be applied", whatever the repository's default is; but for the script's.
        if not {"prompt", "prompt_name"} & declared.keys() and body.get("prompt_name") is None:
            chosen["prompt"] = ""
        return chosen


class _Ranking:
    def __init__(self, served: Pipeline) -> None:
        self._served = served

    def rerank(self, body: dict[str, Json]) -> Json:
        if "documents" in body and "texts" not in body:  # some clients send /v1/rerank's form here
            return self.openai(body)
        query, texts = _query(body), body.get("texts")
        if texts == []:
            raise Empty("texts", "a text", "nothing", "`texts` cannot be empty")
        texts = texts_of(texts, "texts")
        _check_batch(texts)
        own = {"truncate", "truncation_direction"}
        _check_fields(body, {"query", "texts", "raw_scores", "return_text", *own})
        function = "none" if _switch(body, "raw_scores", default=False) else "sigmoid"
        ranked = self._served(query, texts, function_to_apply=function, **_reading(body))
        if _switch(body, "return_text", default=False):
            return [
                {"index": each["index"], "text": texts[each["index"]], "score": each["score"]}
                for each in ranked
            ]
        return ranked

    def openai(self, body: dict[str, Json]) -> Json:
        """As Jina and Cohere have it, and after them others."""
        query, documents = _query(body), body.get("documents")
        if not isinstance(documents, list):
            raise BadRequest("documents", "an array of documents", json_type(documents))
        _check_batch(documents)
        known = {"model", "query", "documents", "top_n", "return_documents", "truncation", "user"}
        _check_fields(body, known | {"max_tokens_per_doc", "max_chunks_per_doc", "rank_fields"})
        given = {name: body[name] for name in ("top_n", "truncation") if body.get(name) is not None}
        if isinstance(top_n := given.get("top_n"), int) and not isinstance(top_n, bool):
            given["top_n"] = min(top_n, max(len(documents), 1))
        ranked = self._served(query, documents, function_to_apply="sigmoid", **given)
        texts = [text_of(document) for document in documents]
        with_documents = _switch(body, "return_documents", default=False)
        results = [
            {
                "index": each["index"],
                "relevance_score": each["score"],
                **({"document": {"text": texts[each["index"]]}} if with_documents else {}),
            }
            for each in ranked
        ]
        tokens = self._served.count_tokens([(query, text) for text in texts])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        head = {"id": f"rerank-{os.urandom(12).hex()}", "object": "list", "model": self._served.model}
        return {**head, "results": results, "usage": usage}


_READING = ("truncate", "truncation_direction", "prompt_name")


def _reading(body: Mapping[str, Json]) -> dict[str, Json]:
    """How texts are read, as parameters of a pipeline. What is too long is cut unless that is refused."""
    chosen: dict[str, Json] = {"truncation": _switch(body, "truncate", default=True)}
    direction = body.get("truncation_direction")
    if direction is not None:
        if direction not in _DIRECTIONS:
            raise BadRequest("truncation_direction", "Left or Right", repr(direction))
        chosen["truncation_side"] = str(direction).lower()
    if body.get("prompt_name") is not None:
        chosen["prompt_name"] = body["prompt_name"]
    return chosen


def _inputs(body: Mapping[str, Json]) -> list[str]:
    inputs = body.get("inputs")
    if inputs in ([], ""):
        raise Empty("inputs", "a text", "nothing", "`inputs` cannot be empty")
    texts = texts_of(_without_ids(inputs, "inputs"), "inputs")
    if "" in texts:
        raise Empty("inputs", "a text", "an empty one", "`inputs` cannot be empty")
    _check_batch(texts)
    return texts


def _without_ids(given: Json, field: str) -> Json:
    """`given`, which may be tokens elsewhere: those of another tokenizer would be other words here."""
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, int | list):
        raise BadRequest(field, "texts", "token ids")
    return given


def _query(body: Mapping[str, Json]) -> str:
    if not isinstance(query := body.get("query"), str):
        raise BadRequest("query", "string", json_type(query))
    return query


def _switch(body: Mapping[str, Json], name: str, *, default: bool) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(name, "boolean", json_type(value))
    return default if value is None else value


def _check_fields(body: Mapping[str, Json], known: set[str]) -> None:
    if unknown := sorted(name for name, value in body.items() if name not in known and value is not None):
        raise BadRequest(unknown[0], f"one of {', '.join(sorted(known))}", "an unknown field")


def _check_batch(texts: list[Json]) -> None:
    if len(texts) > MAX_BATCH:
        raise Unprocessable(None, f"batch size {len(texts)} > maximum allowed batch size {MAX_BATCH}")
