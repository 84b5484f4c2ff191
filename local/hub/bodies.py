"""Sending an answer over a connection, with the fault that was asked for."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from .faults import Corrupt, Drop, Fault, Slow, Stall, Truncate
from .responses import Response

_CHUNK_BYTES = 1 << 18
_SLOW_TICKS_PER_S = 20


def send_body(handler: BaseHTTPRequestHandler, answer: Response, fault: Fault | None) -> None:
    """Send status, headers and (but to HEAD) the body, with a fault that touches bodies if given."""
    length = answer.content_length
    if isinstance(fault, Truncate):
        length = int(length * fault.keep)
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if handler.command == "HEAD":
        return
    stop = int(length * fault.after) if isinstance(fault, Drop) else length
    chunk_bytes = max(1, fault.bytes_per_s // _SLOW_TICKS_PER_S) if isinstance(fault, Slow) else _CHUNK_BYTES
    for offset, chunk in _chunks(answer, stop, chunk_bytes):
        if isinstance(fault, Corrupt):
            chunk = _corrupted(chunk, length // 2 - offset)
        if isinstance(fault, Slow):
            time.sleep(1 / _SLOW_TICKS_PER_S)
        if isinstance(fault, Stall):
            chunk = _stalled(handler, fault, chunk)
        handler.wfile.write(chunk)
    if isinstance(fault, Drop):
        handler.close_connection = True


def _chunks(answer: Response, stop: int, chunk_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The first `stop` bytes of the body with their offsets."""
    if answer.source is None:
        if stop:
            yield 0, answer.body[:stop]
        return
    with answer.source.open("rb") as stream:
        stream.seek(answer.start)
        offset = 0
        while offset < stop and (chunk := stream.read(min(chunk_bytes, stop - offset))):
            yield offset, chunk
            offset += len(chunk)


def _corrupted(chunk: bytes, at: int) -> bytes:
    if not 0 <= at < len(chunk):
        return chunk
    return chunk[:at] + bytes([chunk[at] ^ 0xFF]) + chunk[at + 1 :]


def _stalled(handler: BaseHTTPRequestHandler, fault: Stall, chunk: bytes) -> bytes:
    """Sends half of the chunk and waits; returns the rest. Later chunks find the event set and pass."""
    if fault.release.is_set():
        return chunk
    handler.wfile.write(chunk[: len(chunk) // 2])
    handler.wfile.flush()
    fault.reached.set()
    fault.release.wait()
    return chunk[len(chunk) // 2 :]
