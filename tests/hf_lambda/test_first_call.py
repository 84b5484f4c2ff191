"""What an instance has done when it asks Lambda's runtime API for its first request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hf_lambda import tasks
from hf_lambda.errors import BadRequest
from hf_lambda.first_call import first_call
from hf_lambda.inputs import read_inputs
from hf_lambda.parameters import call_parameters, generates

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, pathlib
from hf_lambda import endpoint, engines, pipeline

done = pathlib.Path(os.environ["DONE"])

def load(*given):
    if os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand":
        while not pathlib.Path(os.environ["ASKED"]).exists():
            pass
    done.write_text("loaded")
    return infer

def infer(items, **parameters):
    done.write_text(done.read_text() + ", inferred")
    return [{"label": "a", "score": 1.0} for _ in items]

engines.load = load
classify = pipeline("text-classification", model="org/name")

@endpoint
def handler(text: str):
    return classify(text)
"""


@pytest.mark.parametrize(
    ("how", "done"), [("provisioned-concurrency", "loaded, inferred"), ("on-demand", None)]
)
def test_nothing_is_left_to_load_when_the_first_request_is_asked_for(
    cache: Path, warm: Any, tmp_path: Path, how: str, done: str | None
):
    warm()
    (tmp_path / "script.py").write_text(SCRIPT)
    record, asked = tmp_path / "done", tmp_path / "asked"
    found: list[str | None] = []
    next_asked = threading.Event()

    class RuntimeApi(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.append(record.read_text() if record.exists() else None)
            asked.touch()
            next_asked.set()
            self.send_error(500)  # it goes then

        def do_POST(self) -> None:
            """An error at init, which is none that this test expects."""
            found.append(self.rfile.read(int(self.headers["content-length"])).decode())
            next_asked.set()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), RuntimeApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": how,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "MODEL_CACHE": str(cache),
        "DONE": str(record),
        "ASKED": str(asked),
    }
    command = [sys.executable, "-m", "awslambdaric", "script.handler"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL) as instance:
        try:
            assert next_asked.wait(timeout=60)
        finally:
            instance.kill()
            server.shutdown()
            server.server_close()
    assert found == [done]


@pytest.mark.parametrize("task", sorted({*tasks.TASKS, "translation_en_to_fr"}))
def test_the_question_is_one_that_its_task_takes(task: str):
    """Of tasks of sound, and of inputs with several parts, none is asked."""
    asked: list[Any] = []

    def ask(*given: Any, **parameters: Any) -> None:
        items, is_list = read_inputs(task, given, parameters)
        assert not is_list
        asked.append((items, call_parameters(task, {}, parameters)))

    assert first_call(ask, task) == bool(asked)
    parts = {"keypoint-matching", "document-question-answering", "image-text-to-text", "decision"}
    sound = {task for task in tasks.TASKS if "audio" in task or "speech" in task}
    assert bool(asked) == (task not in parts | sound)
    if generates(task) and task == "text-generation":
        assert asked[0][1]["max_new_tokens"] == 1


def test_a_mask_of_another_model_is_no_error():
    tried: list[str] = []

    def ask(text: str) -> None:
        tried.append(text)
        if "<mask>" not in text:
            raise BadRequest(None, "a text with <mask>", "none")

    assert first_call(ask, "fill-mask")
    assert len(tried) == 2
