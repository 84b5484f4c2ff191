"""Which scripts answer piece by piece, told without running them."""

from __future__ import annotations

import pytest

from discovery import read_scripts

IMPORT = "from hf_lambda import endpoint, openai, pipeline\n"
GENERATE = 'generate = pipeline("text-generation", model="org/name")\n'


def _script(tmp_path, text):
    (tmp_path / "script.py").write_text(IMPORT + GENERATE + text)
    return read_scripts(tmp_path)[0]


@pytest.mark.parametrize(
    "text",
    [
        "@endpoint\ndef handler(text: str):\n    yield from generate.stream(text)\n",
        "@endpoint\ndef handler(text: str):\n    if text:\n        yield text\n",
        "@endpoint\ndef handler(text: str):\n    got = yield\n",
        "handler = openai(generate)\n",
        "import hf_lambda\nhandler = hf_lambda.openai(generate)\n",
        "def answer(text: str):\n    yield text\nhandler = endpoint(answer)\n",
        "import functools\n@endpoint\n@functools.cache\ndef handler(text: str):\n    yield text\n",
    ],
)
def test_a_handler_that_yields_or_speaks_openais_api_streams(tmp_path, text):
    assert _script(tmp_path, text).streams


@pytest.mark.parametrize(
    "text",
    [
        "@endpoint\ndef handler(text: str):\n    return generate(text)\n",
        "@endpoint\ndef handler(text: str):\n    def inner():\n        yield 1\n    return list(inner())\n",
        "@endpoint\ndef handler(text: str):\n    return list(each for each in text)\n",
        "def handler(event, context):\n    yield event\n",
        "def openai(x): ...\nhandler = endpoint(lambda text: text)\n",
        "def answer(text: str):\n    return text\nhandler = endpoint(answer)\n",
        "def answer(text: str):\n    yield text\nhandler = print(answer)\n",
    ],
)
def test_every_other_handler_answers_whole(tmp_path, text):
    assert not _script(tmp_path, text).streams


def test_an_endpoint_with_openais_api_is_asked_a_question(tmp_path):
    asked = _script(tmp_path, "handler = openai(generate)\n").example
    assert asked == {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
    (tmp_path / "script.py").write_text(
        f'{IMPORT}embed = pipeline("feature-extraction", model="org/name")\nhandler = openai(embed)\n'
    )
    assert list(read_scripts(tmp_path)[0].example) == ["input"]


def test_an_endpoint_with_the_api_of_tei_is_asked_for_what_it_has(tmp_path):
    imports = "from hf_lambda import pipeline, tei\n"
    rank = 'rank = pipeline("text-ranking", model="org/rank")\n'
    (tmp_path / "script.py").write_text(f"{imports}{rank}handler = tei(rerank=rank)\n")
    script = read_scripts(tmp_path)[0]
    assert (set(script.example), script.speaks_tei, script.streams) == ({"query", "texts"}, True, False)
    embed = 'embed = pipeline("feature-extraction", model="org/name")\n'
    (tmp_path / "script.py").write_text(f"{imports}{rank}{embed}handler = tei(embed, rerank=rank)\n")
    assert list(read_scripts(tmp_path)[0].example) == ["inputs"]


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("@endpoint\ndef handler(text: str):\n    return text\n", True),
        ("handler = openai(generate)\n", True),
        ("import hf_lambda\nhandler = hf_lambda.tei(generate)\n", True),
        ("def answer(text: str): ...\nhandler = endpoint(answer)\n", True),
        ("def handler(event, context):\n    return event\n", False),
        ("handler = lambda event, context: event\n", False),
        ("def openai(x): ...\nhandler = openai(1)\n", False),
    ],
)
def test_the_handlers_that_ask_for_api_keys_are_known(tmp_path, text, checks):
    imports = IMPORT if "def openai" not in text else "from hf_lambda import pipeline\n"
    (tmp_path / "script.py").write_text(imports + GENERATE + text)
    assert read_scripts(tmp_path)[0].checks_keys is checks
