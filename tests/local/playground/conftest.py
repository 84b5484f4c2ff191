"""A page over a real gateway: small scripts, run by the real emulator."""

import http.client
import json
import threading
from types import SimpleNamespace

import pytest

from hf_lambda.api_keys import API_KEYS, digest_of
from local.layout import Folder
from local.playground.on_this_machine import LocalBackend
from local.playground.server import SECRET_HEADER, PlaygroundServer
from local.program.functions import FunctionUrl
from local.service.emulator import Emulators
from local.service.gateway import Gateway
from local.service.http_api import serve
from local.service.isolation import available
from tests.local.conftest import BINARY, CHECKOUT
from tests.local.functions_to_run import declare

SCRIPTS = {
    "labels": '''"""Which language is it?"""

from typing import Literal

from hf_lambda import endpoint, pipeline

classify = pipeline("text-classification", model="org/name", revision="abc")
EXAMPLE = {"text": "Guten Tag"}


@endpoint
def handler(text: str, kind: Literal["plain", "formal"] = "plain", top_k: int = 2):
    scores = {"German": 0.75, "French": 0.25, "Italian": 0.0625}
    best = list(scores.items())[:top_k]
    return [{"label": f"{name}, {kind}: {text}", "score": score} for name, score in best]
''',
    "names": '''"""Names in a text."""

from hf_lambda import endpoint

EXAMPLE = {"text": "Zoë met Ada 🎉 in Paris."}


@endpoint
def handler(text: str):
    found = [(kind, word, text.find(word)) for kind, word in (("PER", "Ada"), ("LOC", "Paris"))]
    return [
        {"entity_group": kind, "word": word, "score": 0.9, "start": at, "end": at + len(word)}
        for kind, word, at in found
        if at >= 0
    ]
''',
    "words": '''"""Says it word by word."""

from hf_lambda import endpoint

EXAMPLE = {"prompt": "one two three"}


@endpoint
def handler(prompt: str, forever: bool = False):
    yield from (f"{word} " for word in prompt.split())
    while forever:
        yield "more "
''',
    "fails": '''"""Fails."""

from hf_lambda import endpoint

EXAMPLE = {"number": 0}


@endpoint
def handler(number: int):
    return 1 / number
''',
    "chat": '''"""Speaks OpenAI's API."""

from hf_lambda import openai, pipeline
from hf_lambda.completion import Completion, Generated

generate = pipeline("text-generation", model="org/chat")


def stream(generated):
    yield from ("It ", "is ", "Paris.")
    generated.append(Generated("It is Paris.", "stop", 3))


whole = [Generated("It was Rome.", "stop", 3)]
generate.complete_each = lambda prompts, **asked: [Completion(4, lambda: whole, stream) for _ in prompts]
handler = openai(generate)
''',
    "vectors": '''"""Sentences as vectors."""

from hf_lambda import endpoint

EXAMPLE = {"text": ["a cat", "a kitten", "interest rates"]}


@endpoint
def handler(text: str | list[str]):
    known = {"a cat": [1, 0, 0, 0.0], "a kitten": [0.8, 0.6, 0, 0], "interest rates": [0, 0, 1, 0]}
    return [known[each] for each in text]
''',
    "segments": '''"""Which pixels are it?"""

import numpy as np

from hf_lambda import Image, endpoint
from hf_lambda.media.answers import png


@endpoint
def handler(image: Image):
    mask = np.zeros((image.height, image.width), np.uint8)
    mask[:, : image.width // 2] = 255
    return [{"label": "left", "score": 0.5, "mask": png(mask)}]
''',
    "broken": '''"""Is not loaded: a package is missing."""

import no_such_package

from hf_lambda import endpoint


@endpoint
def handler(prompt: str = "x"):
    yield prompt
''',
    "objects": '''"""What is where in the picture?"""

from hf_lambda import Image, endpoint


@endpoint
def handler(image: Image):
    width, height = image.width, image.height
    box = {"xmin": width // 4, "ymin": height // 4, "xmax": width // 2, "ymax": height // 2}
    return [{"label": "cat", "score": 0.875, "box": box}]
''',
}


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    """`server`, `ask(method, path, body, **headers)` as a client of HTTP, `gateway_url`, `folder`."""
    if not BINARY.exists():
        pytest.fail(f"{BINARY} is missing; run `make setup`")
    root = tmp_path_factory.mktemp("playground")
    (root / "inference").mkdir()
    for name, text in SCRIPTS.items():
        (root / f"inference/{name}.py").write_text(text)
    (root / "hf_lambda").symlink_to(CHECKOUT / "hf_lambda")
    folder = Folder(root / ".local", root)
    folder.efs.mkdir(parents=True)
    emulators = Emulators(
        cache=folder.efs,
        state=folder.path,
        isolation=available(folder.efs, folder.path),
        binary=BINARY,
        root=root,
    )
    functions = [_declared(name) for name in SCRIPTS]
    gateway = Gateway(functions, emulators)
    with serve(gateway) as url:
        server = PlaygroundServer(LocalBackend(gateway, folder, url, lambda: functions))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        secret = server.address.partition("#")[2]

        def ask(method, path, body=None, **headers):
            given = {SECRET_HEADER: secret, "content-type": "application/json", **headers}
            given = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request(method, path, None if body is None else json.dumps(body), given)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return SimpleNamespace(status=answer.status, text=text, headers=answer.headers)

        yield SimpleNamespace(server=server, ask=ask, gateway_url=url, folder=folder)
        server.close()
        thread.join()


def _declared(name):
    function = declare(name)
    streams = {"RESPONSE_STREAM": "1"} if name in ("broken", "chat", "words") else {}
    keys = {API_KEYS: digest_of("key")} if name == "vectors" else {}
    url = FunctionUrl(needs_signature=True) if name == "names" else None
    environment = {**function.environment, **streams, **keys}
    return declare(name, command=f"{name}.handler", environment=environment, url=url)
