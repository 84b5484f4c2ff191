"""HTTP in front of the gateway."""

import contextlib
import functools
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

from local.service import function_urls
from local.service.function_urls import UrlRequest
from local.service.gateway import Gateway
from local.service.lambda_api import ApiError, Pieces, Reply, parse_path
from local.service.streaming import Cut

_LONGEST_LINE = 65_536
Route: TypeAlias = Callable[[UrlRequest], Reply]
"""Answers one request; it may raise ApiError."""


class HttpServer:
    """Answers by `route` on loopback, at `url`, until closed.

    port: taken if it is free, else any other; 0 for any.
    """

    def __init__(self, route: Route, *, port: int = 0) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _handler(route))
        except OSError:
            if not port:
                raise
            self._server = _Server(("127.0.0.1", 0), _handler(route))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def serve_forever(self) -> None:
        """Answer requests, each in a thread of its own, until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop answering. Call it from another thread than `serve_forever`."""
        self._server.shutdown()
        self._server.server_close()


class HttpApi(HttpServer):
    """Serves a gateway."""

    def __init__(self, gateway: Gateway, *, port: int = 0) -> None:
        super().__init__(functools.partial(_route, gateway), port=port)
        self.gateway = gateway

    def close(self) -> None:
        """Also ends all instances."""
        self._server.shutdown()
        self.gateway.close()
        self._server.server_close()


@contextlib.contextmanager
def serve(gateway: Gateway, *, port: int = 0) -> Iterator[str]:
    """The URL of a gateway that serves in the background for as long as the block lasts."""
    api = HttpApi(gateway, port=port)
    thread = threading.Thread(target=api.serve_forever, name="gateway", daemon=True)
    thread.start()
    try:
        yield api.url
    finally:
        api.close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """A client that went away is no fault of ours; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _route(gateway: Gateway, request: UrlRequest) -> Reply:
    """Raises ApiError."""
    path = request.path
    if path.startswith(function_urls.PREFIX):
        script, _, rest = path.removeprefix(function_urls.PREFIX).partition("/")
        return gateway.call_url(script, replace(request, path=f"/{rest}"))
    name, what = parse_path(path)
    if request.method == "GET" and what != "invocations":
        return gateway.describe(name, what)
    if request.method == "PUT" and name is not None and what.startswith("aliases/"):
        return gateway.update_alias(name, what, request.body)
    if request.method == "PUT" and what == "configuration" and name is not None:
        return gateway.configure(name, request.body)
    if request.method != "POST" or name is None or what != "invocations":
        raise ApiError(405, "MethodNotAllowedException", f"{request.method} {path} is not served here")
    kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
    tail = request.headers.get("x-amz-log-type") == "Tail"
    context = request.headers.get("x-amz-client-context")
    if (qualifier := parse_qs(request.query).get("Qualifier")) and ":" not in name:
        name = f"{name}:{qualifier[0]}"
    return gateway.invoke(name, kind, request.body, tail=tail, client_context=context)


def _handler(route: Route) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # with delayed ACKs it costs 40 ms per answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
            """Function logs say what happened; requests may hold the caller's text."""

        def answer(self) -> None:
            address = urlsplit(self.path)
            try:
                headers = {key.lower(): value for key, value in self.headers.items()}
                source_ip = self.client_address[0]
                reply = route(
                    UrlRequest(self.command, address.path, address.query, headers, self.body(), source_ip)
                )
            except ApiError as error:
                named = {"Content-Type": "application/json", "x-amzn-ErrorType": error.kind}
                reply = Reply(error.status, json.dumps(error.body).encode(), named)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.pieces is not None:
                self.send_pieces(reply.pieces)
                return
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def send_pieces(self, pieces: Pieces) -> None:
            """Chunk by chunk; an answer that breaks off ends without the last one, as on AWS."""
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.closing(pieces):
                if self.command == "HEAD":
                    return
                try:
                    for piece in filter(None, pieces):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.write(b"0\r\n\r\n")
                except Cut:
                    self.close_connection = True

        def body(self) -> bytes:
            """Raises ApiError for one whose end cannot be told; the connection then ends with the answer."""
            try:
                if self.headers.get("Transfer-Encoding", "identity").lower() == "chunked":
                    return b"".join(_chunks(self.rfile))
                return self.rfile.read(_length(self.headers.get("Content-Length") or "0", 10))
            except ValueError as error:
                self.close_connection = True
                message = f"the body is not well formed: {error}"
                raise ApiError(400, "InvalidRequestContentException", message) from None

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    return Handler


def _length(text: str, base: int) -> int:
    """Raises ValueError: a negative length would be read as one without end."""
    length = int(text, base)
    if length < 0:
        raise ValueError(f"a length of {length}")
    return length


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """The parts of a chunked body. Raises ValueError where it is cut or malformed."""
    while size := _length(stream.readline(_LONGEST_LINE).partition(b";")[0].decode("latin-1"), 16):
        chunk = stream.read(size)
        if len(chunk) < size or stream.readline(_LONGEST_LINE) not in (b"\r\n", b"\n"):
            raise ValueError("a chunk is cut")
        yield chunk
    while stream.readline(_LONGEST_LINE) not in (b"\r\n", b"\n", b""):
        pass  # trailers
