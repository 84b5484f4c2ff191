"""HTTP in front of the gateway."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from local.service import function_urls
from local.service.gateway import Gateway
from local.service.lambda_api import ApiError, Reply, parse_path


class HttpApi:
    """Serves a gateway on loopback, at `url`, until closed."""

    def __init__(self, gateway: Gateway, *, port: int = 0) -> None:
        self.gateway = gateway
        self._server = _Server(("127.0.0.1", port), _handler(gateway))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve_forever(self) -> None:
        """Answer requests, each in a thread of its own, until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop answering and end all instances. Call it from another thread than `serve_forever`."""
        self._server.shutdown()
        self.gateway.close()
        self._server.server_close()


@contextlib.contextmanager
def serve(gateway: Gateway) -> Iterator[str]:
    """The URL of a gateway that serves in the background for as long as the block lasts."""
    api = HttpApi(gateway)
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


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # with delayed ACKs it costs 40 ms per answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
            """Function logs say what happened; requests may hold the caller's text."""

        def answer(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                reply = self.route(address.path, address.query, body)
            except ApiError as error:
                headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.kind}
                reply = Reply(error.status, json.dumps(error.body).encode(), headers)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def route(self, path: str, query: str, body: bytes) -> Reply:
            if path.startswith(function_urls.PREFIX):
                headers = dict(self.headers.items())
                return gateway.call_url(self.command, path, query, headers, body, self.client_address[0])
            name, what = parse_path(path)
            if self.command == "GET" and what != "invocations":
                return gateway.describe(name, what)
            if self.command != "POST" or name is None or what != "invocations":
                raise ApiError(405, "MethodNotAllowedException", f"{self.command} {path} is not served here")
            kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
            tail = self.headers.get("X-Amz-Log-Type") == "Tail"
            context = self.headers.get("X-Amz-Client-Context")
            if (qualifier := parse_qs(query).get("Qualifier")) and ":" not in name:
                name = f"{name}:{qualifier[0]}"
            return gateway.invoke(name, kind, body, tail=tail, client_context=context)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815 (the parent's names)

    return Handler
