"""Runs in a container before the emulator: requests come in by stdin, answers go out by stdout, no network.

    python -I -S -c SOURCE PORT EMULATOR...

A request is a line `{"bytes", "context"}` and so many bytes; an answer, a line `{"status", "bytes"}` and so
many bytes. What emulator and function write goes to stderr. Standard library only: it runs in any image.
"""

import http.client
import json
import socket
import subprocess
import sys
import time
from typing import BinaryIO

START_LIMIT_S = 20
PATH = "/2015-03-31/functions/function/invocations"


def main(port: int, emulator: list[str]) -> int:
    process = subprocess.Popen(emulator, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    deadline = time.monotonic() + START_LIMIT_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            return 1
        time.sleep(0.003)
    _write(sys.stdout.buffer, b"ready\n")
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        payload = sys.stdin.buffer.read(request["bytes"])
        status, body = _post(port, payload, request["context"])
        head = json.dumps({"status": status, "bytes": len(body)})
        _write(sys.stdout.buffer, head.encode() + b"\n" + body)
    process.terminate()
    return 0


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
