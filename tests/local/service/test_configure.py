"""A function that gets another memory, and the benchmark that gives it some; functions run for real."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from bench import deployed
from local.service.emulator import Emulators
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import declare, wait_for
from warmup.cli.access import gateway_client

NAME = "probe-1a2b3c4"
ENDPOINT = """
from hf_lambda import endpoint

EXAMPLE = {"text": "how long is this"}


@endpoint
def handler(text: str):
    return len(text)
"""


@pytest.fixture
def url(emulators: Emulators) -> Iterator[str]:
    with serve(Gateway((declare(writes=True),), emulators)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    once = {"total_max_attempts": 1}
    made: Any = gateway_client(url, "us-east-1", retries=once, read_timeout=60, parameter_validation=False)
    with contextlib.closing(made):
        yield made


def ask(client: Any, **event: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        client.invoke(FunctionName=NAME, Payload=json.dumps(event))["Payload"].read()
    )
    return answer


@pytest.mark.timeout(120)
def test_another_memory_is_another_instance_also_where_one_is_busy(client: Any, root: Path):
    first = ask(client)
    assert ask(client)["pid"] == first["pid"]
    go, busy = root / "efs" / "go", root / "efs" / "busy"
    answers: list[dict[str, Any]] = []
    until = {"touch": "busy", "until": str(go)}
    thread = threading.Thread(target=lambda: answers.append(ask(client, **until)))
    thread.start()
    wait_for(busy)
    client.update_function_configuration(FunctionName=NAME, MemorySize=700)
    client.get_waiter("function_updated_v2").wait(FunctionName=NAME)
    assert client.get_function_configuration(FunctionName=NAME)["MemorySize"] == 700
    second = ask(client)
    go.touch()
    thread.join(60)
    assert answers[0]["pid"] == first["pid"] != second["pid"]
    assert ask(client)["pid"] == second["pid"]  # the one that was busy ended with its request


@pytest.mark.parametrize(
    "change", [{"MemorySize": 127}, {"MemorySize": 512, "Description": "a"}, {"Timeout": 3}]
)
def test_what_is_not_to_be_changed_here_is_refused(client: Any, change: dict[str, Any]):
    with pytest.raises(ClientError, match="MemorySize alone") as caught:
        client.update_function_configuration(FunctionName=NAME, **change)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert client.get_function_configuration(FunctionName=NAME)["MemorySize"] == 512


@pytest.mark.parametrize("sent", [b"{", b"[]", b'{"MemorySize": true}', b'{"MemorySize": "512"}'])
def test_what_says_no_memory_is_refused_too(url: str, sent: bytes):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("PUT", f"/2015-03-31/functions/{NAME}/configuration", sent)
        answer = connection.getresponse()
        assert answer.status == 400 and "MemorySize alone" in json.loads(answer.read())["Message"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_stack_is_measured_over_its_own_report_lines(
    client: Any, url: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (root / "inference" / "probe.py").write_text(ENDPOINT)
    arn = declare().arn
    outputs = tmp_path / "outputs.json"
    functions = {"warmupArn": f"{arn}-warmup", "functions": {"probe": f"{arn}:live"}, "endpointUrl": url}
    outputs.write_text(json.dumps({**functions, "stack": "local"}))
    options = ["--stack", "local", "--outputs", str(outputs), "--scripts", str(root / "inference")]
    options += ["--cold", "1", "--warm", "3", "--burst", "2"]
    sizes = [each for memory_mb in (512, 1024, 1769, 2048) for each in ("--memory", str(memory_mb))]
    assert deployed.main([*options, *sizes], tmp_path / "kept") == 0
    page = capsys.readouterr().out
    rows = re.findall(r"^\| ([\d,]+ MB) \|", page, re.MULTILINE)
    assert rows == ["512 MB", "1,024 MB", "1,769 MB", "2,048 MB"]
    assert "Recommended: " in page and page.count("2 at once at ") == 4
    assert page == (tmp_path / "kept" / "local" / "results.md").read_text()
    measured = json.loads((tmp_path / "kept" / "local" / "probe.json").read_text())["contenders"]["2,048 MB"]
    assert len(measured["first_s"]) == 1 and 0 < measured["peak_mb"] < 512
    assert client.get_function_configuration(FunctionName=NAME)["MemorySize"] == 512
