"""The relay: requests by stdin, answers by stdout, logs by stderr, with a stand-in for the emulator."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.service.ports import Ports

RELAY = Path(__file__).parents[3] / "local/service/relay.py"
EMULATOR = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            self.connection.close()
            return
        print("asked", self.path, flush=True)
        self.send_response(200 if body != b"fail" else 500)
        self.end_headers()
        self.wfile.write(body + b"|" + self.headers.get("X-Amz-Client-Context", "-").encode())

    def log_message(self, *arguments):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def relay():
    """Starts the relay in front of a program; ends it."""
    started, held = [], contextlib.ExitStack()

    def start(source):
        (port,) = held.enter_context(Ports(1))
        emulator = [sys.executable, "-c", source, str(port)]
        command = [sys.executable, "-I", "-S", "-c", RELAY.read_text(), str(port), *emulator]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe))
        return started[-1]

    yield start
    with held:
        for process in started:
            process.communicate(timeout=20)


def ask(process, payload, context=None):
    head = json.dumps({"bytes": len(payload), "context": context}).encode()
    process.stdin.write(head + b"\n" + payload)
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    return answer["status"], process.stdout.read(answer["bytes"])


def test_requests_are_answered_one_after_the_other(relay):
    process = relay(EMULATOR)
    assert process.stdout.readline() == b"ready\n"
    assert ask(process, b"one\ntwo") == (200, b"one\ntwo|-")
    assert ask(process, b"x" * 100_000)[1] == b"x" * 100_000 + b"|-"
    assert ask(process, b"", context="abc") == (200, b"|abc")


def test_the_emulator_s_status_is_passed_on(relay):
    process = relay(EMULATOR)
    process.stdout.readline()
    assert ask(process, b"fail") == (500, b"fail|-")


def test_what_the_emulator_prints_stays_out_of_the_answers(relay):
    process = relay(EMULATOR)
    process.stdout.readline()
    ask(process, b"x")
    assert b"asked /2015-03-31/functions/function/invocations" in process.stderr.readline()


def test_a_connection_that_breaks_is_answered_as_a_bad_gateway(relay):
    process = relay(EMULATOR)
    process.stdout.readline()
    assert ask(process, b"die") == (502, b"")
    assert ask(process, b"again") == (200, b"again|-")


def test_an_emulator_that_ends_at_once_ends_the_relay(relay):
    process = relay("raise SystemExit(3)")
    assert process.stdout.readline() == b""
    assert process.wait(20) == 1
