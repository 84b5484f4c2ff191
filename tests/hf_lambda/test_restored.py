"""What a runtime does when Lambda makes instances from a snapshot: nothing random is the same in two."""

from __future__ import annotations

import json
import os
import random
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hf_lambda import restored

SCRIPT = """
import random
import numpy

random.seed(1)
numpy.random.seed(1)


def handler(event, context):
    return [random.random(), numpy.random.rand()]
"""


class Lambda(ThreadingHTTPServer):
    """The Runtime API as far as one restored instance with one request asks it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.asked: list[str] = []
        self.answer: list[float] = []
        self.answered, self.over = threading.Event(), threading.Event()


class _Api(BaseHTTPRequestHandler):
    server: Lambda

    def do_GET(self) -> None:
        self.server.asked.append(self.path.removeprefix("/2018-06-01/runtime/"))
        if self.path.endswith("/invocation/next") and self.server.answer:
            self.server.over.wait(60)  # a second request never comes
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:x")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answer = json.loads(body)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Lambda]:
    with Lambda() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def run(api: Lambda, folder: Path, initialization: str) -> list[float]:
    (folder / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": path,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "LAMBDA_TASK_ROOT": str(folder),
        "_HANDLER": "script.handler",
    }
    command = [sys.executable, "-m", "hf_lambda.runtime", "script.handler"]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            assert api.answered.wait(30), process.poll()
        finally:
            process.kill()  # or leaving the block would wait for it
    return api.answer


SEEDED = [random.Random(1).random(), float(np.random.RandomState(1).rand())]


def test_a_restored_instance_has_other_random_numbers_than_its_snapshot(api: Lambda, tmp_path: Path) -> None:
    answer = run(api, tmp_path, "snap-start")
    assert api.asked[:2] == ["restore/next", "invocation/next"]
    assert all(one != another for one, another in zip(answer, SEEDED, strict=True))


def test_an_instance_that_is_not_restored_keeps_the_seed_of_its_script(api: Lambda, tmp_path: Path) -> None:
    assert run(api, tmp_path, "on-demand") == SEEDED


def test_torch_and_tls_are_seeded_anew_where_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    snapshot = torch.rand(4)
    added: list[int] = []
    monkeypatch.setattr(ssl, "RAND_add", lambda fresh, entropy: added.append(len(fresh)))
    torch.manual_seed(1)
    restored.reseed()
    assert not torch.equal(torch.rand(4), snapshot)
    assert added == [64]
