"""The embedded Hub as an HTTP server: counts who asks, injects faults, sends bodies."""

import contextlib
import socket
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from .access import Access
from .api import Api, Request
from .bodies import send_body
from .faults import FAULTS, Fault, FaultBook
from .repositories import Repository, find_repositories
from .responses import Response, json_response

UNNAMED = "unnamed"
"""The client in whose name requests without the prefix /as/<client>/ are counted."""


class Asked(NamedTuple):
    """One request as the Hub saw it."""

    client: str
    method: str
    path: str
    status: int


class Hub:
    """Repositories, who may read them, the faults to come and the requests so far.

    `models` maps repository ids to folders, or is one or more roots laid out as ROOT/org/name.
    """

    def __init__(
        self,
        models: Mapping[str, Path] | Path | Iterable[Path],
        *,
        private: Collection[str] = (),
        gated: Collection[str] = (),
        tokens: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.repositories: dict[str, Repository] = find_repositories(models)
        self.faults = FaultBook()
        self.asked: deque[Asked] = deque(maxlen=10_000)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._api = Api(self.repositories, Access(private, gated, tokens or {}, self.repositories.keys()))

    @property
    def requests(self) -> dict[str, int]:
        """Requests so far by client."""
        with self._lock:
            return dict(self._counts)

    def fail(self, pattern: str, fault: Fault | str, times: int = 1) -> None:
        """Let the next `times` requests whose path matches `pattern` (as in fnmatch) meet `fault`.

        A large file is known by its path under /lfs and by the one under which it is resolved. Names of
        faults are in `FAULTS`. Raises ValueError for another name.
        """
        if isinstance(fault, str):
            if fault not in FAULTS:
                raise ValueError(f"fault {fault!r} is not known; expected one of {', '.join(sorted(FAULTS))}")
            fault = FAULTS[fault]
        self.faults.add(pattern, fault, times)

    def answer(self, client: str, request: Request) -> tuple[Response, Fault | None]:
        """The answer and the fault to send it with; counted."""
        if request.path == "/-/requests":
            return json_response(self.requests), None
        answer = self._api.answer(request)
        has_body = request.method == "GET" and answer.status < 300
        fault = self.faults.take({request.path, request.path.removeprefix("/lfs")}, has_body=has_body)
        if isinstance(fault, Response):
            answer = fault
        with self._lock:
            self._counts[client] += 1
            self.asked.append(Asked(client, request.method, request.path, answer.status))
        return answer, fault


@dataclass(frozen=True)
class RunningHub:
    """A Hub that listens."""

    hub: Hub
    url: str
    port: int


@contextlib.contextmanager
def serve(hub: Hub, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[RunningHub]:
    """Serve `hub` from threads until the block ends; port 0 takes a free one."""
    server = _Server((host, port), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield RunningHub(hub, f"http://{host}:{server.server_port}", server.server_port)
    finally:
        hub.faults.clear()
        server.shutdown()
        server.close_connections()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:  # type: ignore[no-untyped-def]
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Wake the threads that wait on connections kept alive."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Clients come and go; a broken connection is theirs to report."""


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            target = urlsplit(self.path)
            client, path, prefix = _client(target.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            base = f"http://{headers.get('host', '')}{prefix}"
            request = Request(self.command, path, parse_qs(target.query), headers, base, body)
            answer, fault = hub.answer(client, request)
            send_body(self, answer, fault)

        do_HEAD = do_GET  # noqa: N815
        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """The Hub keeps its own log."""

    return Handler


def _client(path: str) -> tuple[str, str, str]:
    """/as/<client>/rest -> client, /rest, /as/<client>"""
    if not path.startswith("/as/"):
        return UNNAMED, path, ""
    client, _, rest = path.removeprefix("/as/").partition("/")
    return client, f"/{rest}", f"/as/{client}"
