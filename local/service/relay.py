"""Runs in a container before the emulator: requests come in by stdin, answers go out by stdout, no network.

    python -I -S -c SOURCE PORT EMULATOR...

A request is a line `{"bytes", "context"}` and so many bytes; an answer, a line `{"status", "bytes"}` and so
many bytes. What emulator and function write goes to stderr, a REPORT with the memory that was used. Standard
library only: it runs in any image.
"""

import contextlib
import http.client
import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

START_LIMIT_S = 20
SAMPLE_S = 0.02
LAST_WORDS_S = 1.0
PATH = "/2015-03-31/functions/function/invocations"
PROC = "/proc"
REPORT = b"REPORT RequestId:"
_PEAK = re.compile(rb"\tMax Memory Used: \d+ MB")
_ANONYMOUS = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)


def main(port: int, emulator: list[str]) -> int:
    process = subprocess.Popen(
        emulator, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    memory = Memory()
    log = threading.Thread(target=_pass_on, args=(process.stdout, memory.peak_mb), daemon=True)
    log.start()
    deadline = time.monotonic() + START_LIMIT_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.join(LAST_WORDS_S)
            return 1
        time.sleep(0.003)
    _write(sys.stdout.buffer, b"ready\n")
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        payload = sys.stdin.buffer.read(request["bytes"])
        with memory.watched():
            status, body = _post(port, payload, request["context"])
        head = json.dumps({"status": status, "bytes": len(body)})
        _write(sys.stdout.buffer, head.encode() + b"\n" + body)
    process.terminate()
    log.join(LAST_WORDS_S)
    return 0


class Memory:
    """The most that the other processes of this container have used, as far as samples tell.

    Not what its control group says: there the pages of files that were read count too, which the kernel takes
    back whenever it needs them, and only in the container that read them first.
    """

    def __init__(self, proc: str = PROC) -> None:
        self._proc, self._most_kb = proc, 0
        self._turn = threading.Lock()
        self._busy = threading.Event()
        threading.Thread(target=self._watch, name="memory", daemon=True).start()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Samples are taken while the block lasts."""
        self._busy.set()
        try:
            yield
        finally:
            self._busy.clear()

    def peak_mb(self) -> int:
        """The most that was seen so far, and what is there now. 0: the kernel tells of no process."""
        with self._turn:
            pids = [int(entry.name) for entry in os.scandir(self._proc) if entry.name.isdigit()]
            now_kb = sum(anonymous_kb(pid, self._proc) for pid in pids if pid != os.getpid())
            self._most_kb = max(self._most_kb, now_kb)
            return math.ceil(self._most_kb / 1024)

    def _watch(self) -> None:
        while self._busy.wait():
            self.peak_mb()
            time.sleep(SAMPLE_S)


def anonymous_kb(pid: int, proc: str = PROC) -> int:
    """Memory that a process holds beside mapped files; 0 of one that is gone, or of which nothing is said."""
    try:
        with open(f"{proc}/{pid}/status") as status:  # noqa: PTH123 - no import more at a cold start
            return sum(int(kb) for kb in _ANONYMOUS.findall(status.read()))
    except OSError:
        return 0


def with_peak(report: bytes, peak_mb: int) -> bytes:
    """A REPORT line, in which the emulator writes the function's memory, with what was used of it.

    0: it is not known, and the line says nothing of it.
    """
    return _PEAK.sub(b"\tMax Memory Used: %d MB" % peak_mb if peak_mb else b"", report)


def _pass_on(log: BinaryIO, peak_mb: Callable[[], int]) -> None:
    for line in log:
        _write(sys.stderr.buffer, with_peak(line, peak_mb()) if line.startswith(REPORT) else line)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _post(port: int, payload: bytes, context: str | None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("POST", PATH, payload, {"X-Amz-Client-Context": context} if context else {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 502, b""
    finally:
        connection.close()


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
