"""`python -m warmup batch`: the command over a loopback Lambda API."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from hf_lambda.events import MAX_REQUEST_BYTES
from tests.warmup.lambda_api import Api, Failure, Refusal, serve_functions
from warmup.__main__ import main
from warmup.batch import files, run

BUSY = Refusal(429, "TooManyRequestsException", "Rate Exceeded.", "ConcurrentInvocationLimitExceeded")
REPORT = "REPORT RequestId: 1\tDuration: 99.1 ms\tBilled Duration: 100 ms\tMemory Size: 1024 MB\t\n"


@pytest.fixture
def api():
    def echo(event: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": {"n": event["n"]}}

    with serve_functions(Api({"echo": echo}, lambda name: REPORT)) as api:
        yield api


@pytest.fixture
def batch(api: Api, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs the command over `input.jsonl`; returns exit code, stdout, stderr."""
    monkeypatch.setattr(run, "FIRST_PAUSE_S", 0.001)
    outputs = {"warmupArn": api.arn("warmup"), "functions": {"echo": api.arn("echo")}}
    (tmp_path / "outputs.json").write_text(json.dumps({**outputs, "memoryMb": {"echo": 1024}}))

    def call(*options: str) -> tuple[int, str, str]:
        code = main(command(api, tmp_path, *options))
        return (code, *capfd.readouterr())

    return call


def command(api: Api, folder: Path, *options: str) -> list[str]:
    files = [str(folder / "input.jsonl"), "-o", str(folder / "output.jsonl")]
    where = ["--outputs", str(folder / "outputs.json"), "--endpoint-url", api.url]
    return ["batch", "echo", *files, *where, *options]


def give(folder: Path, count: int) -> None:
    (folder / "input.jsonl").write_text("".join(f'{{"n": {number}}}\n' for number in range(count)))


def written(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "output.jsonl").read_bytes().splitlines()]


def test_each_line_has_its_answer_in_its_place_whatever_comes_back_first(
    batch, api: Api, tmp_path: Path
) -> None:
    """The first request of each four is answered after the others."""
    later = threading.Event()
    most, running, lock = 0, 0, threading.Lock()

    def echo(event: Any) -> Any:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        if event["n"] == 0:
            later.wait(20)
        elif event["n"] == 12:
            later.set()
        with lock:
            running -= 1
        return {"statusCode": 200, "body": {"n": event["n"]}}

    api.functions["echo"] = echo
    give(tmp_path, 150)
    code, out, err = batch("--parallel", "4")
    assert (code, err) == (0, "")
    assert [line["answer"] for line in written(tmp_path)] == [{"n": number} for number in range(150)]
    assert [line["line"] for line in written(tmp_path)] == [*range(1, 151)]
    assert 2 <= most <= 4
    # 150 requests of 100 ms with 1 GB, by the list price
    assert out.startswith("150 lines are answered, 150 of them now in ")
    assert out.endswith("; Lambda billed $0.0003 at list prices\n")


def test_a_line_that_cannot_be_answered_is_an_error_in_its_place(batch, api: Api, tmp_path: Path) -> None:
    def echo(event: Any) -> Any:
        match event:
            case {"n": 1}:
                return {
                    "statusCode": 422,
                    "body": {"error": {"type": "Unprocessable", "message": "too long"}},
                }
            case {"n": 2}:
                return Failure("ValueError", "no such thing")
            case {"n": 3}:
                return Refusal(400, "InvalidRequestContentException", "not for Lambda")
        return ["plain", event]

    api.functions["echo"] = echo
    lines = [b'\xef\xbb\xbf{"n": 0}\r', b'{"n": 1}', b'{"n": 2}', b'{"n": 3}', b"", b"{half", b"\xff"]
    long = b'"%s"' % (b"x" * MAX_REQUEST_BYTES)
    (tmp_path / "input.jsonl").write_bytes(b"\n".join([*lines, long, b'{"n": "last, without end"}']))
    code, out, err = batch()
    first, *wrong, last = written(tmp_path)
    assert code == 1
    assert first["answer"] == ["plain", {"n": 0}]
    assert last["answer"] == ["plain", {"n": "last, without end"}]
    said = [(line["error"].get("status"), line["error"]["message"]) for line in wrong]
    assert said[:3] == [
        (422, "too long"),
        (None, "ValueError: no such thing"),
        (None, "InvalidRequestContentException: not for Lambda"),
    ]
    assert all(message.startswith("the line is not JSON: ") for _, message in said[3:6])
    assert said[6] == (None, f"the line is longer than a request may be, {MAX_REQUEST_BYTES} bytes")
    assert not any("answer" in line for line in wrong)
    assert "9 lines are answered" in out and '7 lines have an "error"' in err


def test_what_lambda_refuses_for_now_is_sent_again(batch, api: Api, tmp_path: Path) -> None:
    asked: dict[int, int] = {}
    kinds = [BUSY, Refusal(502, "EC2ThrottledException"), Refusal(500, "ServiceException")]

    def echo(event: Any) -> Any:
        number = event["n"]
        asked[number] = asked.get(number, 0) + 1
        return kinds[number % 3] if number % 5 == 0 and asked[number] < 3 else {"n": number}

    api.functions["echo"] = echo
    give(tmp_path, 60)
    code, out, _ = batch()
    assert code == 0
    assert [line["answer"]["n"] for line in written(tmp_path)] == [*range(60)]
    assert "24 refusals waited for" in out


def test_refusals_without_an_end_stop_a_run_that_goes_on_later(
    batch, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PATIENCE_S", 0.05)
    api.functions["echo"] = lambda event: BUSY if event["n"] >= 5 else {"n": event["n"]}
    give(tmp_path, 20)
    code, _, err = batch("--parallel", "1")
    assert code == 1
    assert "TooManyRequestsException" in err and "5 lines are done" in err
    api.functions["echo"] = lambda event: {"n": event["n"]}
    code, out, _ = batch()
    assert code == 0 and "20 lines are answered, 15 of them now" in out
    assert [line["answer"]["n"] for line in written(tmp_path)] == [*range(20)]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 503, "body": {"error": {"type": "ColdCache", "message": "run the warm-up"}}},
        Failure("ColdCache", "run the warm-up"),
    ],
)
def test_an_endpoint_without_its_model_stops_the_run_instead_of_failing_every_line(
    batch, api: Api, tmp_path: Path, answer: Any
) -> None:
    api.functions["echo"] = lambda event: answer
    give(tmp_path, 50)
    code, _, err = batch()
    assert (code, written(tmp_path)) == (1, [])
    assert "run the warm-up" in err


def test_a_stop_at_any_byte_is_made_good_by_the_same_command(batch, api: Api, tmp_path: Path) -> None:
    give(tmp_path, 40)
    assert batch()[0] == 0
    whole = (tmp_path / "output.jsonl").read_bytes()
    asked: list[int] = []

    def echo(event: Any) -> Any:
        asked.append(event["n"])
        return {"statusCode": 200, "body": event}

    api.functions["echo"] = echo
    for end in [0, 1, *random.Random(1).sample(range(2, len(whole)), 2), len(whole)]:
        asked.clear()
        (tmp_path / "output.jsonl").write_bytes(whole[:end])
        assert batch()[0] == 0
        assert (tmp_path / "output.jsonl").read_bytes() == whole
        assert sorted(asked) == [*range(whole[:end].count(b"\n"), 40)]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_lines_and_the_next_goes_on(
    batch, api: Api, tmp_path: Path
) -> None:
    reached, release = threading.Event(), threading.Event()

    def echo(event: Any) -> Any:
        if event["n"] >= 30:
            reached.set()
            release.wait(20)
        return {"n": event["n"]}

    api.functions["echo"] = echo
    give(tmp_path, 100)
    running = subprocess.Popen(
        [sys.executable, "-m", "warmup", *command(api, tmp_path)], cwd=Path(__file__).parents[3]
    )
    try:
        assert reached.wait(60)
        code, _, err = batch()
        assert code == 2 and "another run writes to" in err
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait(60)
        release.set()
    done = len(written(tmp_path))
    assert done <= 30
    code, out, _ = batch()
    assert code == 0 and f"100 lines are answered, {100 - done} of them now" in out
    assert [line["answer"]["n"] for line in written(tmp_path)] == [*range(100)]


def test_an_output_of_another_input_or_of_another_program_is_refused_and_kept(batch, tmp_path: Path) -> None:
    give(tmp_path, 10)
    batch()
    output, kept = tmp_path / "output.jsonl", (tmp_path / "output.jsonl").read_bytes()
    lines = (tmp_path / "input.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "input.jsonl").write_text("".join([*lines[:6], '{"n": "other"}\n', *lines[7:]]))
    code, _, err = batch()
    assert code == 2 and "the input has another line 7 than when" in err
    (tmp_path / "input.jsonl").write_text("".join(lines[:4]))
    code, _, err = batch()
    assert code == 2 and "the input ends before line 5" in err
    assert output.read_bytes() == kept
    output.write_text("my notes\n")
    code, _, err = batch()
    assert code == 2 and "line 1, was not written by this command" in err
    assert output.read_text() == "my notes\n"


def test_wrong_names_are_said_before_anything_is_asked(batch, api: Api, tmp_path: Path) -> None:
    code, _, err = batch()
    assert code == 2 and "input.jsonl cannot be read: No such file" in err
    give(tmp_path, 1)
    code, _, err = batch("-o", str(tmp_path / "input.jsonl"))
    assert code == 2 and "is the input" in err
    code, _, err = batch("-o", "/dev/null")
    assert code == 2 and "is no file" in err
    arguments = command(api, tmp_path)
    arguments[1] = "other"
    assert main(arguments) == 2


def test_a_run_holds_a_bounded_number_of_lines_whatever_the_file(
    batch, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first line is not answered, no more than four lines for each request are read."""
    read: list[int] = []
    given = files.input_lines

    def counted(file: BinaryIO) -> Iterator[files.InputLine]:
        for line in given(file):
            read.append(line.number)
            yield line

    monkeypatch.setattr("warmup.batch.__main__.input_lines", counted)
    most_read: list[int] = []
    rest = threading.Event()

    def echo(event: Any) -> Any:
        if event["n"] == 0:
            rest.wait(20)
            most_read.append(len(read))
        if event["n"] == 7:
            rest.set()
        return {"n": event["n"]}

    api.functions["echo"] = echo
    give(tmp_path, 100)
    assert batch("--parallel", "2")[0] == 0
    assert most_read[0] <= 8
    assert len(written(tmp_path)) == 100
