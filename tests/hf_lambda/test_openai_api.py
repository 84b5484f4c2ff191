"""OpenAI's API over a pipeline: routes, parameters, shapes and errors, without HTTP."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from hf_lambda import openai, pipeline
from hf_lambda.api_keys import API_KEYS, digest_of
from hf_lambda.completion import Completion, Generated
from hf_lambda.errors import ColdCache, Unprocessable
from hf_lambda.pipeline import LoadedEngine
from hf_lambda.streaming import STREAMS
from hf_lambda.structure import FORMS, Structure, tools_of
from tests.http_events import ask_http

MODEL = "org/tiny-chat"
CHAT = [{"role": "user", "content": "Hi"}]


class Engine:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.fails: Exception | None = None

    def complete(self, item: Any, **parameters: Any) -> Completion:
        self.asked.append((item, parameters))
        if self.fails and not isinstance(self.fails, RuntimeError):
            raise self.fails

        def stream(ended: list[Generated]):
            yield "Hel"
            if self.fails:
                raise self.fails
            yield "lo"
            ended.append(Generated("Hello", "stop", 2))

        texts = [Generated("Hello", "stop", 2), Generated("Hey", "length", 1)]
        return Completion(7, lambda: texts[: parameters.get("num_return_sequences", 1)], stream)

    def complete_each(self, items: list[Any], **parameters: Any) -> list[Completion]:
        return [self.complete(item, **parameters) for item in items]

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        self.asked.append((inputs, parameters))
        return [[0.6, 0.0, 0.8] for _ in inputs]

    def count_tokens(self, texts: list[str]) -> int:
        return 3 * len(texts)


@pytest.fixture
def engine():
    return Engine()


def _handler(task, engine, monkeypatch):
    served = pipeline(task, model=MODEL)
    monkeypatch.setattr(served, "_loaded", lambda: LoadedEngine(engine, "onnx-int8", 0.0, []))
    return openai(served)


@pytest.fixture
def chat(engine, monkeypatch):
    return _handler("text-generation", engine, monkeypatch)


@pytest.fixture
def embed(engine, monkeypatch):
    return _handler("feature-extraction", engine, monkeypatch)


def test_a_chat_is_answered_in_openais_shape(chat):
    status, answer = ask_http(chat, "/v1/chat/completions", {"model": MODEL, "messages": CHAT})
    assert status == 200
    assert (answer["object"], answer["model"]) == ("chat.completion", MODEL)
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer["id"].startswith("chatcmpl-")


def test_parameters_become_those_of_the_pipeline(chat, engine):
    body = {
        "messages": CHAT,
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 1,
        "stop": ["\n"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logit_bias": {"17": -100},
        "chat_template_kwargs": {"enable_thinking": False},
        "user": "me",
        "response_format": {"type": "text"},
        "tools": [],
    }
    assert ask_http(chat, "/v1/chat/completions", body)[0] == 200
    assert engine.asked == [
        (
            CHAT,
            {
                "max_new_tokens": 5,
                "do_sample": True,
                "temperature": 0.5,
                "top_p": 0.9,
                "seed": 1,
                "stop": ["\n"],
                "frequency_penalty": 0.1,
                "presence_penalty": 0.2,
                "sequence_bias": [[[17], -100.0]],
                "chat_template_kwargs": {"enable_thinking": False},
            },
        )
    ]


def test_a_temperature_of_zero_is_greedy_and_none_is_the_models_own(chat, engine):
    ask_http(chat, "/v1/chat/completions", {"messages": CHAT, "temperature": 0, "stop": None})
    ask_http(chat, "/v1/chat/completions", {"messages": CHAT, "stop": []})
    assert [asked for _, asked in engine.asked] == [{"do_sample": False}, {}]


def test_several_choices_and_several_prompts(chat):
    _, answer = ask_http(chat, "/v1/chat/completions", {"messages": CHAT, "n": 2})
    assert [one["message"]["content"] for one in answer["choices"]] == ["Hello", "Hey"]
    _, answer = ask_http(chat, "/v1/completions", {"prompt": ["a", "b"], "n": 2})
    assert [(one["index"], one["text"], one["finish_reason"]) for one in answer["choices"]] == [
        (0, "Hello", "stop"),
        (1, "Hey", "length"),
        (2, "Hello", "stop"),
        (3, "Hey", "length"),
    ]
    assert answer["usage"]["prompt_tokens"] == 14


def _streamed(handler, path, body):
    event = {
        "version": "2.0",
        "rawPath": path,
        "requestContext": {"http": {"method": "POST"}},
        "body": json.dumps(body),
    }
    stream = handler(event)
    text = b"".join(stream.pieces).decode()
    assert stream.headers["content-type"] == "text/event-stream"
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


def test_a_stream_begins_with_the_role_and_ends_with_the_reason_and_the_usage(chat, monkeypatch):
    monkeypatch.setenv(STREAMS, "1")
    body = {"messages": CHAT, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, usage, done = _streamed(chat, "/v1/chat/completions", body)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 9, "[DONE]")


def test_a_completion_is_streamed_as_text(chat, monkeypatch):
    monkeypatch.setenv(STREAMS, "1")
    *chunks, done = _streamed(chat, "/v1/completions", {"prompt": "a", "stream": True})
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Hel", "lo", ""]
    assert done == "[DONE]"


def test_what_fails_on_the_way_is_an_error_event(chat, engine, monkeypatch, capsys):
    monkeypatch.setenv(STREAMS, "1")
    engine.fails = RuntimeError("broke")
    *_, last = _streamed(chat, "/v1/chat/completions", {"messages": CHAT, "stream": True})
    assert last["error"]["type"] == "server_error"
    assert "broke" not in json.dumps(last)
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in logged] == ["fault", "request"]
    assert logged[0]["sent_pieces"] == 2


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLING = 'I look. <tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


@pytest.fixture
def calling(engine, monkeypatch):
    """An engine that answers with a call."""
    form = next(form for form in FORMS if form.name == "hermes")

    def complete(item: Any, **parameters: Any) -> Completion:
        engine.asked.append((item, parameters))

        def stream(ended: list[Generated]):
            yield from CALLING
            ended.append(Generated(CALLING, "stop", 2))

        structure = Structure(None, tools_of([TOOL]), form)
        return Completion(7, lambda: [Generated(CALLING, "stop", 2)], stream, structure)

    monkeypatch.setattr(engine, "complete", complete)


def test_a_call_is_part_of_the_message_and_no_text(chat, engine, calling):
    status, answer = ask_http(chat, "/v1/chat/completions", {"messages": CHAT, "tools": [TOOL]})
    assert status == 200
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "I look. "
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Rome"}'}
    assert (call["type"], call["id"].isalnum(), len(call["id"])) == ("function", True, 9)
    assert engine.asked[0][1] == {"tools": [TOOL], "tool_choice": "auto"}


def test_what_the_model_called_before_is_shown_to_it_as_objects(chat, engine):
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    messages = [
        *CHAT,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": function}]},
        {"role": "tool", "content": "rain", "tool_call_id": "a"},
    ]
    body = {"messages": messages, "tools": [TOOL], "tool_choice": "none"}
    assert ask_http(chat, "/v1/chat/completions", body)[0] == 200
    shown, asked = engine.asked[0]
    assert shown[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}
    assert asked == {}  # tools that may not be called are not shown


def test_models_are_the_one_that_is_served(chat, embed):
    for handler in (chat, embed):
        assert [each["id"] for each in ask_http(handler, "/v1/models", method="GET")[1]["data"]] == [MODEL]
        for path in (MODEL, MODEL.replace("/", "%2F")):
            assert ask_http(handler, f"/prod/v1/models/{path}", method="GET")[1]["id"] == MODEL


def test_embeddings_are_numbers_or_their_bytes_and_may_be_cut(embed, engine):
    _, answer = ask_http(embed, "/v1/embeddings", {"input": ["a", "b"], "model": MODEL})
    assert [each["embedding"] for each in answer["data"]] == [[0.6, 0.0, 0.8]] * 2
    assert engine.asked[0] == (["a", "b"], {"pooling": "auto"})
    assert answer["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    _, answer = ask_http(embed, "/v1/embeddings", {"input": "a", "encoding_format": "base64"})
    assert struct.unpack("<3f", base64.b64decode(answer["data"][0]["embedding"])) == pytest.approx(
        (0.6, 0, 0.8)
    )
    _, answer = ask_http(embed, "/v1/embeddings", {"input": "a", "dimensions": 1})
    assert answer["data"][0]["embedding"] == [1.0]


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "words"),
    [
        ("/v1/chat/completions", {"messages": "no"}, 400, "messages", "expected an array of messages"),
        ("/v1/chat/completions", {}, 400, "messages", "given nothing"),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "model": "gpt-9"},
            404,
            "model",
            "this endpoint has 'org/tiny",
        ),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "tools": [{"type": "function"}]},
            400,
            "tools[0]",
            "expected an object",
        ),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "response_format": {"type": "regex"}},
            400,
            "response_format",
            "json_object",
        ),
        (
            "/v1/completions",
            {"prompt": "a", "response_format": {"type": "json_object"}},
            400,
            "response_format",
            "not supported",
        ),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "tool_choice": "required"},
            400,
            "tool_choice",
            "tools beside it",
        ),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "functions": [{"name": "f"}]},
            400,
            "functions",
            "not supported",
        ),
        (
            "/v1/chat/completions",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "f", "arguments": "{"}}],
                    }
                ]
            },
            400,
            "messages[0].tool_calls[0].function.arguments",
            "JSON",
        ),
        ("/v1/chat/completions", {"messages": CHAT, "logprobs": True}, 400, "logprobs", ""),
        ("/v1/chat/completions", {"messages": CHAT, "temperature": -1}, 400, "temperature", ""),
        ("/v1/chat/completions", {"messages": CHAT, "temperature": True}, 400, "temperature", ""),
        ("/v1/chat/completions", {"messages": CHAT, "top_p": 7}, 400, "top_p", "a number from 0 to 1"),
        ("/v1/chat/completions", {"messages": CHAT, "logit_bias": {"x": 1}}, 400, "logit_bias", ""),
        ("/v1/chat/completions", {"messages": CHAT, "stream": True, "n": 2}, 400, "n", ""),
        ("/v1/chat/completions", {"messages": CHAT, "stream": "false"}, 400, "stream", "true or false"),
        ("/v1/completions", {"prompt": "a", "stream_options": [1]}, 400, "stream_options", "an object"),
        (
            "/v1/chat/completions",
            {"messages": CHAT, "max_completion_tokens": 0, "max_tokens": 5},
            400,
            "max_completion_tokens",
            "`max_completion_tokens`: expected a whole number of at least 1",
        ),
        ("/v1/completions", {"prompt": "a", "n": 0}, 400, "n", "`n`: expected a whole number"),
        ("/v1/completions", {"prompt": 7}, 400, "prompt", ""),
        ("/v1/completions", {"prompt": ["a", "b"], "stream": True}, 400, "stream", ""),
        ("/v1/completions", {"prompt": "a", "echo": True}, 400, "echo", ""),
        ("/v1/embeddings", {"input": "a"}, 404, None, "this endpoint has /v1/models, /v1/chat/completions, "),
        ("/v1/nope", {}, 404, None, "no such path: POST /v1/nope"),
    ],
)
def test_what_is_wrong_is_named_in_openais_shape(chat, path, body, status, param, words):
    got, answer = ask_http(chat, path, body)
    assert (got, answer["error"]["param"]) == (status, param)
    assert words in answer["error"]["message"]
    assert answer["error"]["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [[1, 2]]}, "input"),
        ({"input": []}, "input"),
        ({"input": "a", "dimensions": 4}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "words": 1}, "words"),
    ],
)
def test_what_is_wrong_with_a_text_to_embed_is_named(embed, body, param):
    status, answer = ask_http(embed, "/v1/embeddings", body)
    assert (status, answer["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Unprocessable(None, "too long"), 422, "invalid_request_error"),
        (ColdCache("warm it"), 503, "server_error"),
        (ValueError("hidden"), 500, "server_error"),
    ],
)
def test_errors_of_the_engine_have_openais_shape(chat, engine, error, status, kind):
    engine.fails = error
    got, answer = ask_http(chat, "/v1/chat/completions", {"messages": CHAT})
    assert (got, answer["error"]["type"]) == (status, kind)
    assert "hidden" not in answer["error"]["message"]


def test_a_direct_event_is_routed_by_what_it_holds(chat, embed):
    assert chat({"messages": CHAT})["body"]["object"] == "chat.completion"
    assert chat({"prompt": "a"})["body"]["object"] == "text_completion"
    assert embed({"input": "a"})["body"]["object"] == "list"
    assert chat({"text": "a"})["statusCode"] == 400


def test_keys_are_asked_for_where_they_are_set(chat, monkeypatch):
    keys = ("k" * 40, "l" * 40)
    monkeypatch.setenv(API_KEYS, ",".join(map(digest_of, keys)))
    for key in keys:
        assert ask_http(chat, "/v1/models", method="GET", Authorization=f"Bearer {key}")[0] == 200
    for headers in ({}, {"authorization": "Bearer " + "m" * 40}, {"authorization": f"Basic {keys[0]}"}):
        status, answer = ask_http(chat, "/v1/models", method="GET", **headers)
        assert (status, answer["error"]["type"]) == (401, "authentication_error")
    assert chat({"messages": CHAT})["statusCode"] == 200  # Lambda's own permissions guard direct calls


def test_other_tasks_have_no_such_api():
    with pytest.raises(
        TypeError, match="it takes text-generation, feature-extraction, automatic-speech-recognition"
    ):
        openai(pipeline("fill-mask", model="org/x"))


def test_several_answers_are_drawn_and_without_temperature_the_same_one_is_given_as_often(chat, engine):
    for path, prompt in (("chat/completions", {"messages": CHAT}), ("completions", {"prompt": "Hi"})):
        status, answer = ask_http(chat, f"/v1/{path}", {**prompt, "n": 3, "temperature": 0})
        assert (status, [choice["index"] for choice in answer["choices"]]) == (200, [0, 1, 2])
        assert {str({**choice, "index": 0}) for choice in answer["choices"]} == {
            str({**answer["choices"][0], "index": 0})
        }
        assert answer["usage"]["completion_tokens"] == 6
        assert engine.asked[-1][1] == {"do_sample": False}
        assert ask_http(chat, f"/v1/{path}", {**prompt, "n": 2})[0] == 200
        assert engine.asked[-1][1] == {"do_sample": True, "num_return_sequences": 2}
        assert ask_http(chat, f"/v1/{path}", {**prompt, "n": 1000, "temperature": 0})[0] == 422


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        (["Hi"], "messages[0]"),
        ([*CHAT, {"content": "Hi"}], "messages[1].role"),
        ([{"role": "user"}], "messages[0].content"),
    ],
)
def test_messages_that_are_none_are_refused_with_their_place(chat, messages, field):
    status, answer = ask_http(chat, "/v1/chat/completions", {"messages": messages})
    assert (status, answer["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": False, "stream_options": {}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_costs": True}}, "stream_options.include_costs"),
        ({"logit_bias": []}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"1.5": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"5": True}}, "logit_bias"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"tools": {}}, "tools"),
        ({"tools": ""}, "tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
        ),
    ],
)
def test_what_a_field_cannot_hold_is_refused_by_its_name(chat, engine, more, named):
    status, answer = ask_http(chat, "/v1/chat/completions", {"messages": CHAT, **more})
    assert (status, answer["error"]["param"], engine.asked) == (400, named, [])


def test_values_that_ask_for_nothing_are_taken(chat):
    more: dict[str, Any] = {
        "function_call": "auto",
        "logit_bias": {},
        "stream_options": None,
        "stream": None,
        "logprobs": None,
        "stop": None,
    }
    assert ask_http(chat, "/v1/chat/completions", {"messages": CHAT, **more})[0] == 200


def test_a_developer_speaks_as_the_system_where_the_template_knows_none(chat, engine):
    messages = [{"role": "developer", "content": "Be brief."}, *CHAT]
    for knows, role in ((False, "system"), (True, "developer")):
        engine.reads = lambda name, knows=knows: knows
        assert ask_http(chat, "/v1/chat/completions", {"messages": messages})[0] == 200
        assert engine.asked[-1][0] == [{"role": role, "content": "Be brief."}, *CHAT]


def test_a_model_that_is_not_served_is_not_found(chat):
    for path, body in (
        ("/v1/models/org/other", None),
        ("/v1/completions", {"prompt": "Hi", "model": "org/other"}),
    ):
        status, answer = ask_http(chat, path, body)
        assert (status, answer["error"]["code"]) == (404, "model_not_found")
        assert (
            "'org/other' is not served here; this endpoint has 'org/tiny-chat'" in answer["error"]["message"]
        )
