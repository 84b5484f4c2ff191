"""OpenAI's own client against an endpoint: a tiny prepared model, the real runtime, over HTTP."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import jsonschema
import onnxruntime
import openai
import pytest

from hf_lambda.api_keys import API_KEYS, digest_of
from hf_lambda.manifest import Manifest, PreparedEntry, write_manifest
from hf_lambda.streaming import STREAMS
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import declare
from tests.media_support import sound, tones
from tests.tiny_decoders import prepared, snapshot
from warmup.prepare.folder import Document, hashes, publish

pytestmark = pytest.mark.slow

MODEL = "org/tiny"
KEY = "k" * 40
ROOT = Path(__file__).parents[3]
CHAT: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Where does the train go?"}
]
CHAT_SCRIPT = f"""
from hf_lambda import openai, pipeline

handler = openai(pipeline("text-generation", model="{MODEL}", engine="onnx", max_context=512))
"""
EMBED_SCRIPT = """
from hf_lambda import openai, pipeline
from hf_lambda.pipeline import LoadedEngine

embed = pipeline("feature-extraction", model="org/embed")


class Engine:
    def __call__(self, texts, **parameters):
        return [[0.6, 0.0, 0.8] for _ in texts]

    def count_tokens(self, texts):
        return 5


embed._loaded = lambda: LoadedEngine(Engine(), "onnx-int8", 0.0, [])
handler = openai(embed)
"""

HEAR_SCRIPT = """
from hf_lambda import openai, pipeline
from hf_lambda.pipeline import LoadedEngine

hear = pipeline("automatic-speech-recognition", model="org/hear")


class Engine:
    def __call__(self, sounds, **parameters):
        text = f"{sounds[0].seconds} seconds, {sorted(parameters)}"
        return [{"text": text, "chunks": [{"timestamp": (0.0, None), "text": text}]}]


hear._loaded = lambda: LoadedEngine(Engine(), "torch", 0.0, [])
handler = openai(hear)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    parent = tmp_path_factory.mktemp("tiny")
    source = snapshot("qwen2", parent / "snapshot", tie_word_embeddings=True, max_position_embeddings=512)
    return prepared(source, parent / "prepared", "int8")


@pytest.fixture
def address(emulators, root, tiny):
    """`address("chat")`: where the endpoint is, as its clients are told."""
    cache = root / "efs"
    (cache / "snapshot").mkdir()
    candidate = shutil.copytree(tiny, root / "candidate")
    entry = PreparedEntry(
        head="causal-lm",
        requested="auto",
        precision="int8",
        path="prepared",
        machine=platform.machine(),
        onnxruntime=onnxruntime.__version__,
    )
    document = Document(entry, "", MODEL, "c" * 40, hashes(candidate))
    publish(candidate, cache / "prepared", document)
    write_manifest(cache, Manifest(MODEL, "main", "c" * 40, "snapshot", (), 0, "now", (entry,)))
    (root / "inference/chat.py").write_text(CHAT_SCRIPT)
    (root / "inference/embed.py").write_text(EMBED_SCRIPT)
    (root / "inference/hear.py").write_text(HEAR_SCRIPT)
    environment = {**declare().environment, STREAMS: "1", API_KEYS: digest_of(KEY)}
    functions = [
        declare(name, command=f"{name}.handler", environment=environment, memory_mb=1769)
        for name in ("chat", "embed", "hear")
    ]
    with serve(Gateway(functions, emulators)) as url:
        yield lambda name: f"{url}/urls/{name}/v1"


@pytest.fixture
def client(address):
    clients = []

    def make(name="chat", key=KEY):
        clients.append(openai.OpenAI(base_url=address(name), api_key=key, max_retries=0, timeout=60))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


def test_a_chat_is_the_same_whole_and_streamed(client):
    chat = client().chat.completions
    whole = chat.create(model=MODEL, messages=CHAT, max_completion_tokens=12, temperature=0)
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 12
    chunks = list(
        chat.create(
            model=MODEL,
            messages=CHAT,
            max_completion_tokens=12,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert sum(map(bool, pieces)) > 1
    assert chunks[-1].usage == whole.usage


def test_sampling_is_repeatable_and_gives_several_choices(client):
    chat = client().chat.completions
    asked = {"model": MODEL, "messages": CHAT, "max_tokens": 8, "temperature": 1.5, "seed": 3, "n": 3}
    first, again = (chat.create(**asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) > 1


def test_a_stop_text_ends_both(client):
    chat = client().chat.completions
    asked = {"model": MODEL, "messages": CHAT, "max_tokens": 12, "temperature": 0}
    whole = chat.create(**asked).choices[0].message.content
    stop = whole[4:7]
    cut = chat.create(**asked, stop=stop).choices[0]
    streamed = "".join(
        chunk.choices[0].delta.content or "" for chunk in chat.create(**asked, stop=[stop], stream=True)
    )
    assert (cut.message.content, cut.finish_reason) == (whole[: whole.find(stop)], "stop")
    assert streamed == cut.message.content


def test_a_completion_is_the_same_whole_and_streamed(client):
    completions = client().completions
    asked = {"model": MODEL, "prompt": "The train to", "max_tokens": 8, "temperature": 0}
    whole = completions.create(**asked)
    streamed = "".join(chunk.choices[0].text for chunk in completions.create(**asked, stream=True))
    assert streamed == whole.choices[0].text


def test_models_and_errors_are_what_the_client_knows(client):
    made = client()
    assert [model.id for model in made.models.list()] == [MODEL]
    assert made.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match="the model 'gpt-9' is not served here"):
        made.chat.completions.create(model="gpt-9", messages=CHAT)
    with pytest.raises(openai.BadRequestError, match="Unimplemented keys") as refused:
        made.chat.completions.create(model=MODEL, messages=CHAT, response_format=_schema({"not": {}}))
    assert refused.value.param == "response_format"
    with pytest.raises(openai.UnprocessableEntityError, match="this endpoint holds 512 with the answer"):
        made.completions.create(model=MODEL, prompt="the train " * 600)
    with pytest.raises(openai.UnprocessableEntityError, match="Only system, user and assistant speak here"):
        critic = {"messages": [{"role": "critic", "content": "x"}]}
        made.chat.completions.create(model=MODEL, messages=CHAT, stream=True, extra_body=critic)


def test_a_developer_speaks_as_the_system_where_the_template_knows_none(client):
    said = [
        client().chat.completions.create(
            model=MODEL, messages=[{"role": role, "content": "Be short."}, *CHAT], max_tokens=8, temperature=0
        )
        for role in ("developer", "system")
    ]
    assert said[0].choices == said[1].choices
    assert said[0].usage == said[1].usage


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Leeds", "York"]},
        "platform": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["city", "platform"],
    "additionalProperties": False,
}
TOOL: openai.types.chat.ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "next_train", "description": "The next one", "parameters": SCHEMA},
}


def _schema(schema) -> openai.types.shared_params.ResponseFormatJSONSchema:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def test_an_answer_is_json_of_the_schema_whole_and_streamed(client):
    chat = client().chat.completions
    asked = {"model": MODEL, "messages": CHAT, "max_tokens": 60, "temperature": 0}
    asked |= {"response_format": _schema(SCHEMA)}
    whole = chat.create(**asked).choices[0]
    assert whole.finish_reason == "stop"
    jsonschema.validate(json.loads(whole.message.content), SCHEMA)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chat.create(**asked, stream=True)]
    assert "".join(pieces) == whole.message.content
    assert sum(map(bool, pieces)) > 1


def test_a_tool_is_called_whole_and_streamed_and_its_answer_goes_back(client):
    chat = client().chat.completions
    asked = {"model": MODEL, "messages": CHAT, "max_tokens": 150, "temperature": 0, "tools": [TOOL]}
    asked |= {"tool_choice": {"type": "function", "function": {"name": "next_train"}}}
    choice = chat.create(**asked).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "next_train"
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    with chat.stream(**asked) as stream:  # the client puts the pieces together and parses them
        streamed = stream.get_final_completion().choices[0]
    assert streamed.message.tool_calls[0].function.arguments == call.function.arguments
    assert streamed.finish_reason == "tool_calls"
    answered = [
        *CHAT,
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": "09:15"},
    ]
    last = chat.create(model=MODEL, messages=answered, tools=[TOOL], tool_choice="auto", max_tokens=5)
    assert last.usage.prompt_tokens > 30


def test_embeddings_come_as_numbers_whatever_crosses_the_wire(client):
    embeddings = client("embed").embeddings
    as_numbers = embeddings.create(model="org/embed", input=["a", "b"], encoding_format="float")
    as_bytes = embeddings.create(model="org/embed", input=["a", "b"])  # the client asks for base64 by itself
    for answer in (as_numbers, as_bytes):
        assert [each.embedding for each in answer.data] == [pytest.approx([0.6, 0.0, 0.8])] * 2
    assert as_bytes.usage.prompt_tokens == 5
    assert embeddings.create(model="org/embed", input="a", dimensions=1).data[0].embedding == [1.0]


def test_a_file_is_transcribed_in_the_format_that_is_asked_for(client, tmp_path):
    path = tmp_path / "a b.wav"
    path.write_bytes(sound(tones(0.5)))
    hear = client("hear").audio.transcriptions
    plain = hear.create(model="org/hear", file=path, language="en")
    assert plain.text == "0.5 seconds, ['language']"
    told = hear.create(
        model="org/hear", file=path, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (told.duration, told.segments[0].end) == (0.5, 0.5)
    subtitles = hear.create(model="org/hear", file=("x.flac", path.read_bytes()), response_format="srt")
    assert subtitles.startswith("1\n00:00:00,000 --> 00:00:00,500\n0.5 seconds")
    with pytest.raises(openai.UnprocessableEntityError, match="expected sound"):
        hear.create(model="org/hear", file=b"no sound at all")


def test_a_key_that_is_not_known_is_an_authentication_error(client):
    with pytest.raises(openai.AuthenticationError, match="no API key, or one that is not known"):
        client(key="m" * 40).models.list()


LANGCHAIN = """
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

model = ChatOpenAI(model=MODEL, base_url=CHAT, api_key=KEY, temperature=0, max_tokens=12)
embeddings = OpenAIEmbeddings(
    model="org/embed", base_url=EMBED, api_key=KEY, check_embedding_ctx_length=False
)
answer = model.invoke([("human", QUESTION)])
found = {
    "whole": answer.content,
    "tokens": answer.usage_metadata["output_tokens"],
    "pieces": [piece.content for piece in model.stream([("human", QUESTION)])],
    "vectors": embeddings.embed_documents(["a", "b"]),
}
"""
LITELLM = """
import litellm

asked = dict(api_base=CHAT, api_key=KEY, messages=[{"role": "user", "content": QUESTION}])
asked |= dict(model="openai/" + MODEL, temperature=0, max_tokens=12)
answer = litellm.completion(**asked)
vectors = litellm.embedding(model="openai/org/embed", input=["a", "b"], api_base=EMBED, api_key=KEY)
found = {
    "whole": answer.choices[0].message.content,
    "tokens": answer.usage.completion_tokens,
    "pieces": [one.choices[0].delta.content or "" for one in litellm.completion(**asked, stream=True)],
    "vectors": [one["embedding"] for one in vectors.data],
}
"""


@pytest.mark.parametrize("script", [LANGCHAIN, LITELLM], ids=["langchain", "litellm"])
def test_other_clients_get_what_openais_gets(client, address, clients, tmp_path, script):
    names = {"MODEL": MODEL, "KEY": KEY, "CHAT": address("chat"), "EMBED": address("embed")}
    names["QUESTION"] = str(CHAT[0]["content"])
    found = clients.found(script, tmp_path, **names)
    asked = {"model": MODEL, "messages": CHAT, "max_completion_tokens": 12, "temperature": 0}
    expected = client().chat.completions.create(**asked)
    assert found["whole"] == "".join(found["pieces"]) == expected.choices[0].message.content
    assert found["tokens"] == expected.usage.completion_tokens
    assert sum(map(bool, found["pieces"])) > 1
    assert [pytest.approx([0.6, 0.0, 0.8])] * 2 == found["vectors"]
