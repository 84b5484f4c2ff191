"""The relay: requests by stdin, answers by stdout, logs by stderr, with a stand-in for the emulator."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local.service.ports import Ports
from local.service.relay import REPORT, Memory, with_peak

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
        report = "REPORT RequestId: 1\\tMemory Size: 512 MB\\tMax Memory Used: 1 MB\\t"
        print(report, file=sys.stderr, flush=True)
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


def test_a_report_has_what_was_used_in_place_of_what_may_be(relay):
    process = relay(EMULATOR)
    process.stdout.readline()
    ask(process, b"x")
    process.stderr.readline()
    said = process.stderr.readline()
    assert re.fullmatch(rb"REPORT RequestId: 1\tMemory Size: 512 MB\tMax Memory Used: \d+ MB\t\n", said)
    assert b"Used: 1 MB" not in said


def test_what_processes_hold_beside_files_counts_and_the_most_of_it_stays(tmp_path):
    memory = Memory(str(tmp_path))
    (tmp_path / "uptime").touch()
    lay(tmp_path, 7, "VmRSS:\t 900000 kB\nRssAnon:\t  102400 kB\nRssFile:\t  700000 kB\nRssShmem:\t  1 kB\n")
    lay(tmp_path, 8, "RssAnon:\t  2048 kB\n")
    lay(tmp_path, 9, "State:\tZ (zombie)\n")
    lay(tmp_path, os.getpid(), "RssAnon:\t  999999 kB\n")
    (tmp_path / "10").mkdir()  # it ended in between
    assert memory.peak_mb() == 103
    lay(tmp_path, 7, "RssAnon:\t  1024 kB\n")
    assert memory.peak_mb() == 103
    lay(tmp_path, 8, "RssAnon:\t  204800 kB\n")
    assert memory.peak_mb() == 201


def test_while_a_request_is_answered_samples_are_taken(tmp_path, monkeypatch):
    sampled = threading.Event()

    def large(pid, proc):
        sampled.set()
        return 102400

    lay(tmp_path, 7, "")
    memory = Memory(str(tmp_path))
    monkeypatch.setattr("local.service.relay.anonymous_kb", large)
    with memory.watched():
        assert sampled.wait(20)
    monkeypatch.undo()
    assert memory.peak_mb() == 100


def test_where_the_kernel_tells_of_no_memory_a_report_says_nothing_of_it():
    line = REPORT + b" 1\tDuration: 1.00 ms\tMemory Size: 512 MB\tMax Memory Used: 512 MB\t\n"
    assert with_peak(line, 0) == REPORT + b" 1\tDuration: 1.00 ms\tMemory Size: 512 MB\t\n"


def lay(proc, pid, status):
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "status").write_text(status)


def test_a_connection_that_breaks_is_answered_as_a_bad_gateway(relay):
    process = relay(EMULATOR)
    process.stdout.readline()
    assert ask(process, b"die") == (502, b"")
    assert ask(process, b"again") == (200, b"again|-")


def test_an_emulator_that_ends_at_once_ends_the_relay(relay):
    process = relay("raise SystemExit(3)")
    assert process.stdout.readline() == b""
    assert process.wait(20) == 1
