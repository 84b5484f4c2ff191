"""OpenAI's HTTP API over a pipeline: chat completions, completions, models, embeddings; whole or as SSE."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from . import events
from .completion import Completion
from .endpoint import LambdaHandler, RequestHandler
from .errors import BadRequest, NotFound, Unprocessable, openai_error
from .events import check_model, method_and_path
from .inputs import check_messages
from .limits import MOST
from .openai_embeddings import embeddings
from .openai_transcriptions import Transcript, transcript
from .pipeline import Pipeline
from .records import Json
from .signature import json_type
from .streaming import EVENT_STREAM, Stream, guarded
from .structure import Argued, Called, CallReader, Said, Structure, tools_of

_SPEECH = "automatic-speech-recognition"
_TASKS = ("text-generation", "feature-extraction", _SPEECH)
_DIRECT = {
    "file": "/v1/audio/transcriptions",
    "messages": "/v1/chat/completions",
    "prompt": "/v1/completions",
    "input": "/v1/embeddings",
}
"""Which endpoint an event without a path is for, by the field that it has."""
_SAMPLING = {
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "stop": "stop",
    "n": "num_return_sequences",
    "chat_template_kwargs": "chat_template_kwargs",
}
"""Fields of a request, and the parameter of the pipeline that each is."""
_READ = {
    "model",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "logit_bias",
    "stream",
    "stream_options",
}
_WITHOUT_EFFECT = {
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity"),
}
_NEUTRAL: dict[str, tuple[Json, ...]] = {
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "functions": ([],),
    "function_call": ("none", "auto"),
}
"""Fields that are not built here, or of chats alone, with the values that ask for nothing."""
_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
"""The second pads pieces against who counts them on the way: nothing here is padded, whatever is asked."""
_ROLES = {"developer": "system"}
"""Roles that OpenAI's models know, and what those say whose templates do not."""
_MOST_BIAS = 100
_LENGTHS = ("max_completion_tokens", "max_tokens")
_CALLS = ("tools", "tool_choice", "parallel_tool_calls")


def openai(served: Pipeline) -> LambdaHandler:
    """A Lambda handler that OpenAI's clients talk to: `handler = openai(generate)`.

    A pipeline of text-generation answers /v1/chat/completions and /v1/completions, one of feature-extraction
    /v1/embeddings, one of automatic-speech-recognition /v1/audio/transcriptions and
    /v1/audio/translations, each of them /v1/models. Raises TypeError for another one.
    """
    if served.task not in _TASKS:
        raise TypeError(f"openai({served.task}): it takes {', '.join(_TASKS)}")
    api = _Api(served)

    def handler(event: Json, context: object = None) -> Stream | dict[str, Json]:
        return api.answer(event, context)

    return handler


_Reply: TypeAlias = dict[str, Json] | Iterator[bytes] | Transcript
"""A body to answer, the pieces of an event stream, or what was heard."""


class _Api(RequestHandler):
    def __init__(self, served: Pipeline) -> None:
        super().__init__("openai")
        self._served = served

    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        method, path = _route(event, http)
        body = {} if method == "GET" else events.read_files(event).fields
        result = self._dispatch(method, path, body, request_id)
        if isinstance(result, Transcript):
            if isinstance(result.content, dict):
                return result.content
            headers = {"content-type": result.content_type}
            return Stream([result.content.encode()], http=http, headers=headers)
        if isinstance(result, dict):
            return result
        pieces = guarded(result, _failed_event, request_id=request_id)
        headers = {"content-type": EVENT_STREAM, "cache-control": "no-cache"}
        return Stream(pieces, http=http, headers=headers)

    def _error_body(self, body: dict[str, Json], status: int, event: Json) -> dict[str, Json]:
        return openai_error(body, status)

    def _dispatch(self, method: str, path: str, body: dict[str, Json], request_id: str) -> _Reply:
        """A body to answer, or the pieces of an event stream."""
        is_language_model = self._served.task == "text-generation"
        if path == "/v1/models" and method == "GET":
            return {"object": "list", "data": [self._model()]}
        if path.startswith("/v1/models/") and method == "GET":
            check_model(path.removeprefix("/v1/models/"), self._served.model)
            return self._model()
        routes: dict[str, Callable[[dict[str, Json], str], _Reply]] = {}
        if is_language_model:
            routes = {"/v1/chat/completions": self._chat, "/v1/completions": self._completions}
        elif self._served.task == _SPEECH:
            routes = {
                "/v1/audio/transcriptions": lambda body, _: transcript(self._served, body),
                "/v1/audio/translations": lambda body, _: transcript(self._served, body, translates=True),
            }
        else:
            routes = {"/v1/embeddings": lambda body, _: embeddings(self._served, body)}
        if path not in routes:
            known = ", ".join(["/v1/models", *routes])
            raise NotFound(f"no such path: {method} {path}; this endpoint has {known}")
        if method != "POST":
            raise NotFound(f"{path} takes POST, not {method}")
        check_model(body.get("model"), self._served.model)
        try:
            return routes[path](body, request_id)
        except (BadRequest, Unprocessable) as error:
            _name_as_sent(error, body)
            raise

    def _model(self) -> dict[str, Json]:
        owner = self._served.model.partition("/")[0]
        return {"id": self._served.model, "object": "model", "created": 0, "owned_by": owner}

    def _chat(self, body: dict[str, Json], request_id: str) -> _Reply:
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise BadRequest(
                "messages", "an array of messages", "nothing" if messages is None else "another value"
            )
        check_messages(messages)
        structure = _structure(body)
        plain = {name: value for name, value in body.items() if name not in (*_CALLS, "response_format")}
        asked = {**_parameters(plain, "messages"), **structure}
        messages = [_with_arguments(message, place) for place, message in enumerate(messages)]
        messages = self._in_known_roles(messages)
        head = self._head("chatcmpl", "chat.completion", request_id)
        if body.get("stream"):
            return self._streamed(messages, asked, head, body, request_id, is_chat=True)
        [completion] = self._finished([messages], asked)
        choices = []
        for index, one in enumerate(completion.generated):
            turn = _Turn(completion.structure, request_id, index)
            turn.read(one.text)
            turn.end()
            message = {"role": "assistant", **turn.message, "refusal": None}
            finish = turn.finish(one.finish)
            choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": finish})
        return {**head, "choices": choices, "usage": _usage([completion])}

    def _completions(self, body: dict[str, Json], request_id: str) -> _Reply:
        prompt = body.get("prompt")
        prompts = [prompt] if isinstance(prompt, str) else prompt
        if not isinstance(prompts, list) or not prompts or not all(isinstance(one, str) for one in prompts):
            raise BadRequest("prompt", "a text or an array of texts", "another value")
        asked = _parameters(body, "prompt")
        head = self._head("cmpl", "text_completion", request_id)
        if body.get("stream"):
            if len(prompts) != 1:
                raise BadRequest("stream", "one prompt", f"{len(prompts)} prompts")
            return self._streamed(prompts[0], asked, head, body, request_id, is_chat=False)
        completions = self._finished(prompts, asked)
        every = [generated for one in completions for generated in one.generated]
        choices = [
            {"index": index, "text": one.text, "logprobs": None, "finish_reason": one.finish}
            for index, one in enumerate(every)
        ]
        return {**head, "choices": choices, "usage": _usage(completions)}

    def _finished(self, prompts: list[Json], asked: dict[str, Json]) -> list[Completion]:
        copies = 1
        if asked.get("do_sample") is False and _is_count(asked.get("num_return_sequences")):
            copies = asked["num_return_sequences"]  # every one comes out the same
            asked = {name: value for name, value in asked.items() if name != "num_return_sequences"}
        completions = [one.run() for one in self._served.complete_each(prompts, **asked)]
        for completion in completions:
            completion.generated = [one for one in completion.generated for _ in range(copies)]
        return completions

    def _in_known_roles(self, messages: list[Json]) -> list[Json]:
        """The messages with roles that the model's template has, where OpenAI calls them otherwise."""
        others = {message["role"] for message in messages} & _ROLES.keys()
        roles = {role: _ROLES[role] for role in others if not self._served.reads(role)}
        return [{**message, "role": roles.get(message["role"], message["role"])} for message in messages]

    def _streamed(
        self,
        prompt: Json,
        asked: dict[str, Json],
        head: dict[str, Json],
        body: dict[str, Json],
        request_id: str,
        *,
        is_chat: bool,
    ) -> Iterator[bytes]:
        if asked.get("num_return_sequences", 1) != 1:
            raise BadRequest("n", "1 where the answer is streamed", str(asked["num_return_sequences"]))
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        completion = self._served.complete(prompt, **asked)
        if is_chat:
            head = {**head, "object": "chat.completion.chunk"}
        turn = _Turn(completion.structure, request_id, 0) if is_chat else None
        return self._sse(completion, head, turn, with_usage=with_usage)

    def _sse(
        self, completion: Completion, head: dict[str, Json], turn: _Turn | None, *, with_usage: bool
    ) -> Iterator[bytes]:
        """turn: of a chat."""

        def chunk(part: dict[str, Json], finish: str | None = None) -> bytes:
            choice = {"index": 0, **part, "logprobs": None, "finish_reason": finish}
            return _event({**head, "choices": [choice], **({"usage": None} if with_usage else {})})

        if turn is None:
            for piece in completion.pieces:
                yield chunk({"text": piece})
            yield chunk({"text": ""}, completion.generated[0].finish)
        else:
            yield chunk({"delta": {"role": "assistant", "content": "" if turn.may_say else None}})
            for piece in completion.pieces:
                yield from map(chunk, turn.read(piece))
            yield from map(chunk, turn.end())
            yield chunk({"delta": {}}, turn.finish(completion.generated[0].finish))
        if with_usage:
            yield _event({**head, "choices": [], "usage": _usage([completion])})
        yield b"data: [DONE]\n\n"

    def _head(self, prefix: str, kind: str, request_id: str) -> dict[str, Json]:
        return {
            "id": f"{prefix}-{request_id}",
            "object": kind,
            "created": int(time.time()),
            "model": self._served.model,
            "system_fingerprint": None,
        }


class _Turn:
    """One message of the assistant: its text and its calls, as they are read out of what is generated."""

    def __init__(self, structure: Structure | None, request_id: str, choice: int) -> None:
        form = structure.form if structure is not None else None
        self.may_say = structure is None or not structure.must_call
        self._reader = CallReader(form) if form is not None else None
        self._seed = f"{request_id}/{choice}"
        self._said: list[str] = []
        self._calls: list[dict[str, Json]] = []

    def read(self, piece: str) -> list[dict[str, Json]]:
        """What `piece` adds to the message, as deltas."""
        return self._deltas([Said(piece)] if self._reader is None else self._reader.feed(piece))

    def end(self) -> list[dict[str, Json]]:
        return self._deltas([] if self._reader is None else self._reader.end())

    def finish(self, finish: str) -> str:
        return "tool_calls" if self._calls and finish == "stop" else finish

    @property
    def message(self) -> dict[str, Json]:
        text = "".join(self._said)
        if not self._calls:
            return {"content": text}
        return {"content": text if text.strip() else None, "tool_calls": self._calls}

    def _deltas(self, parts: list[Said | Called | Argued]) -> list[dict[str, Json]]:
        deltas: list[dict[str, Json]] = []
        for part in parts:
            if isinstance(part, Said):
                self._said.append(part.text)
                deltas.append({"delta": {"content": part.text}})
            elif isinstance(part, Called):
                function = {"name": part.name, "arguments": ""}
                call = {"id": _call_id(self._seed, part.index), "type": "function", "function": function}
                self._calls.append(call)
                first = {"index": part.index, **call, "function": dict(function)}
                deltas.append({"delta": {"tool_calls": [first]}})
            else:
                self._calls[part.index]["function"]["arguments"] += part.text
                more = {"index": part.index, "function": {"arguments": part.text}}
                deltas.append({"delta": {"tool_calls": [more]}})
        return deltas


def _name_as_sent(error: BadRequest | Unprocessable, body: Mapping[str, Json]) -> None:
    """Have `error` name the field that the caller sent, not the parameter of the pipeline that it became."""
    sent = {parameter: name for name, parameter in _SAMPLING.items() if name != parameter}
    sent |= {
        "max_new_tokens": next((name for name in _LENGTHS if name in body), ""),
        "sequence_bias": "logit_bias",
    }
    name = sent.get(error.field or "")
    if name and name in body:
        error.message = error.message.replace(f"`{error.field}`", f"`{name}`")
        error.field = name


def _call_id(seed: str, index: int) -> str:
    """Nine letters and digits: other characters, or another number of them, Mistral's templates refuse."""
    import hashlib

    return "call" + hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:5]


def _route(event: Json, http: bool) -> tuple[str, str]:
    if not http:
        fields = event if isinstance(event, dict) else {}
        path = next((path for name, path in _DIRECT.items() if name in fields), None)
        if path is None:
            raise BadRequest(None, f"an event with {', '.join(_DIRECT)}", "another event")
        return "POST", path
    method, path = method_and_path(event)
    at = path.find("/v1/")  # a gateway's stage may come before it
    return method, path[at:] if at >= 0 else path


def _parameters(body: Mapping[str, Json], prompt: str) -> dict[str, Json]:
    """The request's options as parameters of the pipeline. Raises BadRequest for what is not built."""
    asked: dict[str, Json] = {}
    for name, kind, words in (("stream", bool, "true or false"), ("stream_options", dict, "an object")):
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise BadRequest(name, words, repr(body[name])[:100])
    _check_stream_options(body)
    for name, value in body.items():
        if value is None or name in _READ or name in _WITHOUT_EFFECT or name == prompt:
            continue
        if name in _SAMPLING:
            asked[_SAMPLING[name]] = value
        elif not any(value == neutral and type(value) is type(neutral) for neutral in _NEUTRAL.get(name, ())):
            of_chats = (*_CALLS, "response_format") if prompt == "messages" else ()
            known = ", ".join(sorted({prompt, *_READ, *_SAMPLING, *of_chats}))
            raise BadRequest(name, f"one of {known}", "a field that is not supported here")
    longest = next((body[name] for name in _LENGTHS if body.get(name) is not None), None)
    if longest is not None:
        asked["max_new_tokens"] = longest
    temperature = body.get("temperature")
    if temperature is not None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature < 0:
            raise BadRequest("temperature", "a number of at least 0", repr(temperature))
        asked["do_sample"] = temperature > 0
        if temperature > 0:
            asked["temperature"] = temperature
    elif _is_count(asked.get("num_return_sequences")):
        asked["do_sample"] = True  # OpenAI's temperature is 1 where none is given: several texts are drawn
    bias = body.get("logit_bias")
    if bias is not None and (biases := _biases(bias)):
        asked["sequence_bias"] = biases
    if asked.get("stop") == []:
        del asked["stop"]
    return asked


def _structure(body: Mapping[str, Json]) -> dict[str, Json]:
    """Of a chat: the tools that the model is shown, and what its answer is held to."""
    form = body.get("response_format")
    asked = {} if form in (None, {"type": "text"}) else {"response_format": form}
    choice = body.get("tool_choice")
    tools = body.get("tools")
    if tools is not None:
        tools_of(tools)
    if not tools:
        if choice not in (None, "none", "auto"):
            raise BadRequest("tool_choice", "tools beside it", "none")
        return asked
    if choice == "none":
        return asked
    asked |= {"tools": tools, "tool_choice": choice or "auto"}
    if (parallel := body.get("parallel_tool_calls")) is not None:
        asked["parallel_tool_calls"] = parallel
    return asked


def _with_arguments(message: Json, place: int) -> Json:
    """The message with the arguments of its calls as objects: OpenAI has them as text, templates do not."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list):
        return message
    made = []
    for at, call in enumerate(calls):
        where = f"messages[{place}].tool_calls[{at}].function"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequest(where, 'an object {"name": string, "arguments": string}', "another value")
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                raise BadRequest(f"{where}.arguments", "JSON", "a text that is none") from None
        made.append({**call, "function": {**function, "arguments": arguments}})
    return {**message, "tool_calls": made}


def _check_stream_options(body: Mapping[str, Json]) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not body.get("stream"):
        raise BadRequest("stream_options", "stream beside it", "none")
    for name, value in options.items():
        if name not in _STREAM_OPTIONS:
            known = ", ".join(_STREAM_OPTIONS)
            raise BadRequest(f"stream_options.{name}", f"one of {known}", "an unknown field")
        if value is not None and not isinstance(value, bool):
            raise BadRequest(f"stream_options.{name}", "true or false", json_type(value))


def _is_count(number: Json) -> bool:
    """Whether several texts are asked for, and no more than a request may ask for."""
    return type(number) is int and 1 < number <= MOST["num_return_sequences"]


def _biases(given: Json) -> list[Json]:
    if not isinstance(given, dict):
        raise BadRequest("logit_bias", "an object of token ids and numbers", repr(given))
    for token, bias in given.items():
        is_number = isinstance(bias, int | float) and not isinstance(bias, bool)
        if not (token.isascii() and token.isdecimal()) or not is_number or abs(bias) > _MOST_BIAS:
            expected = f"an object of token ids and numbers from -{_MOST_BIAS} to {_MOST_BIAS}"
            raise BadRequest("logit_bias", expected, repr({token: bias}))
    return [[[int(token)], float(bias)] for token, bias in given.items()]


def _usage(completions: list[Completion]) -> dict[str, Json]:
    prompt = sum(one.prompt_tokens for one in completions)
    written = sum(one.tokens for one in completions)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _event(document: dict[str, Json]) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def _failed_event(body: dict[str, Json]) -> bytes:
    return _event(openai_error(body, 500))
