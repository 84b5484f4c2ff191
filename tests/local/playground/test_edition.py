"""What `make dev` tells the page's server, and what the page gets of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local.followed import Followed
from local.hub.address import HubAddress
from local.layout import Folder
from local.playground.on_this_machine import LocalBackend
from local.playground.records import Update
from local.playground.server import PlaygroundServer
from local.program.functions import Function, Program
from local.service.function_urls import UrlRequest
from local.stack import Choices, RunningStack, StackError
from tests.local.functions_to_run import declare
from warmup.protocol.outputs import StackOutputs

GOOD = "from hf_lambda import endpoint\n\n\n@endpoint\ndef handler(text: str):\n    return text\n"


class Gateway:
    """Remembers what it serves."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self.functions = {each.function_name: each for each in functions}
        self.replaced: list[tuple[list[str], set[str]]] = []

    def replace(self, functions: Sequence[Function], changed: Sequence[str]) -> None:
        self.functions = {each.function_name: each for each in functions}
        self.replaced.append(([each.name for each in functions], {*changed}))


class Page:
    """A server over two scripts, asked without sockets."""

    def __init__(self, root: Path) -> None:
        self.inference = root / "inference"
        self.inference.mkdir()
        for name in ("one", "two"):
            (self.inference / f"{name}.py").write_text(GOOD)
        (root / ".local/efs").mkdir(parents=True)
        gateway: Any = Gateway([self.function("one")])
        self.gateway = gateway
        self.declared = [self.function("one"), self.function("two")]
        self.folder = Folder(root / ".local", root)
        backend = LocalBackend(gateway, self.folder, "http://127.0.0.1:1", lambda: self.declared)
        self.server = PlaygroundServer(backend, secret="s" * 43)

    @staticmethod
    def function(name: str) -> Function:
        made: Function = declare(name, function_name=f"{name}-1", command=f"{name}.handler")
        return made

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        given = {
            "host": f"127.0.0.1:{self.server.port}",
            "x-playground-secret": "s" * 43,
            "content-type": "application/json",
            **headers,
        }
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.server._answer(UrlRequest(method, path, "", given, content, "127.0.0.1"))
        return reply.status, json.loads(reply.body)

    def update(self, **given: Any) -> tuple[int, Any]:
        return self.ask("POST", "/api/edition", Update(**{**NOTHING, **given}).to_json())


NOTHING: dict[str, Any] = {"functions": False, "changed": (), "problems": ()}


@pytest.fixture
def page(tmp_path: Path) -> Any:
    made = Page(tmp_path)
    yield made
    made.server._server.server_close()


def names(page: Page) -> list[str]:
    return [each["name"] for each in page.ask("GET", "/api/stack")[1]["endpoints"]]


def test_without_make_dev_there_is_no_edition(page: Page) -> None:
    assert page.ask("GET", "/api/edition")[0] == 404
    assert page.ask("GET", "/api/stack")[1]["edition"] is None


def test_every_update_is_a_new_edition_and_problems_alone_replace_nothing(page: Page) -> None:
    page.update(problems=("one.py:1: a mistake",))
    assert page.ask("GET", "/api/edition")[1] == {"number": 1, "problems": ["one.py:1: a mistake"]}
    page.update()
    assert page.ask("GET", "/api/edition")[1] == {"number": 2, "problems": []}
    assert page.gateway.replaced == [] and page.ask("GET", "/api/stack")[1]["edition"] == 2


def test_functions_are_read_anew_and_shown(page: Page) -> None:
    assert names(page) == ["one"]
    page.update(functions=True, changed=("two",))
    assert names(page) == ["one", "two"]
    assert page.gateway.replaced == [(["one", "two"], {"two"})]


def test_a_script_with_a_mistake_leaves_the_page_as_it_was(page: Page) -> None:
    page.update(functions=True)
    assert names(page) == ["one", "two"]
    (page.inference / "two.py").write_text("def handler(")
    assert names(page) == ["one", "two"]
    assert page.ask("GET", "/api/endpoints/two/openapi.json")[0] == 200


def test_without_make_dev_it_is_told_as_before(page: Page) -> None:
    (page.inference / "two.py").write_text("def handler(")
    status, said = page.ask("GET", "/api/stack")
    assert status == 422 and "two.py:1" in said["error"]["message"]


@pytest.mark.parametrize(
    "body", [None, [], {"changed": "one"}, {"functions": 1, "changed": [], "problems": []}]
)
def test_what_is_no_update_is_refused(page: Page, body: Any) -> None:
    assert page.ask("POST", "/api/edition", body)[0] == 400


def test_nobody_without_the_secret_changes_anything(page: Page) -> None:
    assert page.ask("POST", "/api/edition", NOTHING, **{"x-playground-secret": "x"})[0] == 403
    assert page.ask("POST", "/api/edition", NOTHING, origin="http://evil.example")[0] == 403
    assert page.gateway.replaced == []


def test_what_make_dev_changes_reaches_the_gateway_the_page_and_the_disk(page: Page) -> None:
    page.folder.run.mkdir()
    page.folder.page.write_text(page.server.address)
    before = Program((page.function("one"),), {"region": "us-east-1", "functions": {}, "warmupArn": "arn"})
    outputs = StackOutputs.from_json(
        {**before.outputs, "stack": "local", "endpointUrl": "http://127.0.0.1:1"}
    )
    running = RunningStack(before, outputs, HubAddress("http://127.0.0.1:2"))
    followed = Followed(page.folder, Choices(), running, lambda line: None)
    serving = threading.Thread(target=page.server.serve_forever, daemon=True)
    serving.start()
    try:
        followed.update(None, (), ["a mistake"])
        assert page.ask("GET", "/api/edition")[1] == {"number": 1, "problems": ["a mistake"]}
        followed.update(Program(tuple(page.declared), before.outputs), {"two"}, ())
    finally:
        page.server._server.shutdown()
        serving.join(10)
    assert page.gateway.replaced == [(["one", "two"], {"two"})]
    written = Program.from_json(json.loads(page.folder.program.read_text()))
    assert [each.name for each in written.functions] == ["one", "two"]
    assert page.folder.program.stat().st_mode & 0o077 == 0
    assert "two" in json.loads(page.folder.outputs.read_text())["functionUrls"]
    with pytest.raises(StackError, match="the gateway does not take a change"):
        page.server._server.server_close()
        followed.update(None, (), ())


def test_a_gateway_that_ends_while_it_is_told_is_named_with_its_log(page: Page) -> None:
    running = RunningStack(Program((), {}), StackOutputs(None, {}, "local"), HubAddress("http://127.0.0.1:2"))
    followed = Followed(page.folder, Choices(), running, lambda line: None)
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        page.folder.run.mkdir()
        page.folder.page.write_text(f"http://127.0.0.1:{gateway.getsockname()[1]}/#secret")

        def end() -> None:
            connection, _ = gateway.accept()
            connection.recv(1)
            connection.close()

        ending = threading.Thread(target=end, daemon=True)
        ending.start()
        with pytest.raises(StackError, match=r"the gateway does not take a change .*gateway\.log"):
            followed.update(None, (), ())
        ending.join(10)
