"""Functions that stream, on one machine: a Runtime API of ours, for AWS's emulator waits for the whole."""

import base64
import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = bytes(8)
_LONGEST_LINE = 65_536
_TRAILER = "lambda-runtime-function-error-body"


class Cut(Exception):  # noqa: N818 - what happened, not a fault of ours
    """The answer broke off: the runtime ended, ran out of time, or sent an error after the first piece."""


@dataclass
class Answer:
    """What the runtime sends for one invocation; `pieces` as they come, once."""

    is_error: bool
    is_streamed: bool
    content_type: str
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class _Head:
    """An answer begins."""

    is_error: bool
    is_streamed: bool
    content_type: str


@dataclass(frozen=True)
class _End:
    """An answer ends, with these trailers."""

    trailers: Mapping[str, str]


_Part: TypeAlias = _Head | bytes | _End | Cut
"""What the runtime sends of an answer, one after the other; a Cut: nothing more comes."""


@dataclass
class _Invocation:
    id: str
    payload: bytes
    client_context: str | None
    deadline: float
    parts: "queue.Queue[_Part]" = field(default_factory=queue.Queue)
    connection: socket.socket | None = None
    """Of the runtime while it sends."""


class RuntimeApi:
    """Answers one runtime at `port` of 127.0.0.1, one invocation at a time, until closed."""

    def __init__(self, port: int, arn: str) -> None:
        self._arn = arn
        self._waiting: queue.Queue[_Invocation | None] = queue.Queue()
        self._running: _Invocation | None = None
        self._ended: Cut | None = None
        self._init_error: bytes | None = None
        self._server = _Server(("127.0.0.1", port), _handler(self))
        # Asked often whether it shall end: a function's last instance would wait half a second.
        often = {"poll_interval": 0.05}
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs=often, name="runtime api", daemon=True).start()

    def invoke(self, request_id: str, payload: bytes, client_context: str | None, timeout_s: float) -> Answer:
        """The answer, once it has begun. Raises Cut."""
        invocation = _Invocation(request_id, payload, client_context, time.monotonic() + timeout_s)
        self._running = invocation
        if self._init_error is not None:
            _put_error(invocation, self._init_error)
        elif self._ended:
            invocation.parts.put(Cut("the runtime ended"))
        self._waiting.put(invocation)
        head = self._part(invocation)
        if not isinstance(head, _Head):
            raise _cut(head)
        return Answer(head.is_error, head.is_streamed, head.content_type, self._pieces(invocation))

    def runtime_ended(self, reason: str) -> None:
        """No answer comes any more."""
        self._ended = Cut(reason)
        if self._running is not None:
            self._running.parts.put(self._ended)

    def close(self) -> None:
        self.runtime_ended("the instance was stopped")
        self._waiting.put(None)
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> _Invocation | None:
        return self._waiting.get()

    def running(self, invocation_id: str) -> _Invocation | None:
        running = self._running
        return running if running is not None and running.id == invocation_id else None

    def init_failed(self, error: bytes) -> None:
        """The handler could not be loaded: the invocation that waits, and those that come, get why."""
        self._init_error = error
        if self._running is not None:
            _put_error(self._running, error)

    @property
    def arn(self) -> str:
        return self._arn

    def _part(self, invocation: _Invocation) -> _Part:
        left = invocation.deadline - time.monotonic()
        try:
            return invocation.parts.get(timeout=max(0.0, left))
        except queue.Empty:
            return Cut("Task timed out")

    def _pieces(self, invocation: _Invocation) -> Iterator[bytes]:
        try:
            while True:
                part = self._part(invocation)
                if isinstance(part, bytes):
                    yield part
                elif isinstance(part, _End):
                    if _TRAILER in part.trailers:
                        raise Cut(base64.b64decode(part.trailers[_TRAILER]).decode(errors="replace"))
                    return
                else:
                    raise _cut(part)
        finally:
            # Read to its end or not: whoever sends more of it finds that nobody listens.
            self._running = None
            if (connection := invocation.connection) is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _put_error(invocation: _Invocation, error: bytes) -> None:
    invocation.parts.put(_Head(True, False, "application/json"))
    invocation.parts.put(error)
    invocation.parts.put(_End({}))


def _cut(part: _Part) -> Cut:
    """Why an answer breaks off where `part` came: anew for each, for a traceback is of one."""
    return Cut(str(part))


def prelude(answer: Answer) -> tuple[int, Mapping[str, str], Iterator[bytes]]:
    """Status, headers and the pieces of the body of a streamed HTTP answer. Raises Cut where it has none."""
    head = b""
    for piece in answer.pieces:
        head += piece
        if PRELUDE_END in head:
            break
    document, found, rest = head.partition(PRELUDE_END)
    try:
        said = json.loads(document) if found else {}
        status, headers = int(said["statusCode"]), dict(said.get("headers") or {})
    except (ValueError, TypeError, KeyError) as error:
        raise Cut("the answer does not begin with a status and headers") from error

    def pieces() -> Iterator[bytes]:
        try:
            if rest:
                yield rest
            yield from answer.pieces
        finally:
            close_pieces(answer.pieces)

    return status, headers, pieces()


def close_pieces(pieces: Iterator[bytes]) -> None:
    close: Callable[[], None] | None = getattr(pieces, "close", None)
    if close is not None:
        close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A runtime that was stopped in the middle of an answer is no fault."""


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
            """The function's own log says what happened."""

        def do_GET(self) -> None:
            invocation = api.next() if self.path.endswith("/runtime/invocation/next") else None
            if invocation is None:
                self.send_error(404)
                return
            milliseconds = int((time.time() + invocation.deadline - time.monotonic()) * 1000)
            self.send_response(200)
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(milliseconds),
                "Lambda-Runtime-Invoked-Function-Arn": api.arn,
                "Content-Type": "application/json",
                "Content-Length": str(len(invocation.payload)),
            }
            if invocation.client_context:
                headers["Lambda-Runtime-Client-Context"] = base64.b64decode(
                    invocation.client_context
                ).decode()
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(invocation.payload)

        def do_POST(self) -> None:
            *_, owner, what = self.path.rstrip("/").split("/")
            if (owner, what) == ("init", "error"):
                api.init_failed(b"".join(self._body()))
            elif (invocation := api.running(owner)) is not None:
                self._receive(invocation, what == "error")
            else:  # nobody waits for it any more
                self.close_connection = True
                return
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _receive(self, invocation: _Invocation, is_error: bool) -> None:
            mode = self.headers.get("Lambda-Runtime-Function-Response-Mode", "buffered")
            content_type = self.headers.get("Content-Type", "application/json")
            invocation.connection = self.connection
            invocation.parts.put(_Head(is_error, mode == "streaming", content_type))
            try:
                for piece in self._body():
                    invocation.parts.put(piece)
                trailers = self._trailers() if self._is_chunked else {}
            except (OSError, ValueError):
                invocation.parts.put(Cut("the runtime ended in the middle of its answer"))
                raise
            invocation.connection = None
            invocation.parts.put(_End(trailers))

        @property
        def _is_chunked(self) -> bool:
            return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

        def _body(self) -> Iterator[bytes]:
            if not self._is_chunked:
                yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
                return
            while size := int(self.rfile.readline(_LONGEST_LINE), 16):
                yield self.rfile.read(size)
                self.rfile.readline(_LONGEST_LINE)

        def _trailers(self) -> dict[str, str]:
            found = {}
            while line := self.rfile.readline(_LONGEST_LINE).strip():
                name, _, value = line.decode("latin-1").partition(":")
                found[name.strip().lower()] = value.strip()
            return found

    return Handler
