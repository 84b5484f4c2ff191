"""The page's server: who may ask, and what is answered.

Whoever may ask spends the user's credentials and sees what endpoints answer, and every web page that is open
in the same browser can send requests to loopback. So a request is refused whose Host is another name than
this server's (DNS rebinding), whose Origin is another page, or that lacks the secret, which the printed
address has after its `#`: browsers keep that part to themselves. The page sends it back in a header, which no
page of another origin can without asking first; cookies would not do, as all ports of 127.0.0.1 share them.
"""

import codecs
import hmac
import json
import secrets
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from discovery import ScriptError
from hf_lambda.records import Json
from local.playground.backend import Backend, BackendError, openapi
from local.playground.records import Ended, Update
from local.service.function_urls import UrlRequest
from local.service.http_api import HttpServer
from local.service.lambda_api import Reply
from warmup.protocol.records import Record, WrongShape

SECRET_HEADER = "x-playground-secret"
"""Of every request to /api/."""
PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PlaygroundServer(HttpServer):
    """Serves the page of `backend` on loopback. `address`: with the secret, for the user alone."""

    def __init__(self, backend: Backend, *, secret: str | None = None, port: int = 0) -> None:
        """secret: None for a new one."""
        self._backend = backend
        self._secret = secret or secrets.token_urlsafe(32)
        super().__init__(self._answer, port=port)
        self.address = f"{self.url}/#{self._secret}"

    def _answer(self, request: UrlRequest) -> Reply:
        if problem := self._refusal(request):
            return _error(403, problem)
        if not request.path.startswith("/api/"):
            return _asset(request)
        try:
            return self._api(request)
        except BackendError as error:
            return _error(error.status, str(error))
        except ScriptError as error:
            return _error(422, f"a script does not load:\n{error}")

    def _refusal(self, request: UrlRequest) -> str | None:
        """Why a request is not answered; None: it is."""
        hosts = [f"127.0.0.1:{self.port}", f"localhost:{self.port}"]
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in hosts:
            return f"Host is {host[:100]!r}; this page is served at {hosts[0]} alone"
        if origin is not None and origin != f"http://{host}":
            return f"Origin is {origin[:100]!r}; requests of other pages are refused"
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "the request comes from another site's page, and is refused"
        given = request.headers.get(SECRET_HEADER, "")
        if request.path.startswith("/api/") and not hmac.compare_digest(
            given.encode(), self._secret.encode()
        ):
            return "the secret is missing or of an earlier start: open the address that the command printed"
        return None

    def _api(self, request: UrlRequest) -> Reply:
        what = tuple(map(unquote, request.path.removeprefix("/api/").split("/")))
        match request.method, what:
            case "GET", ("stack",):
                return _record(self._backend.stack())
            case "GET", ("edition",):
                edition = self._backend.edition()
                return _record(edition) if edition else _error(404, "nobody follows changes of this stack")
            case "POST", ("edition",):
                self._backend.update(_update(request))
                return _json(200, {})
            case "GET", ("cache",):
                return _record(self._backend.cache())
            case "GET", ("endpoints", name, "openapi.json"):
                return _json(200, self._openapi(name))
            case "GET", ("endpoints", name, "logs"):
                return _json(200, {"lines": [*self._backend.logs(name)]})
            case "POST", ("endpoints", name, "invoke"):
                return _record(self._backend.invoke(name, _event(request)))
            case "POST", ("endpoints", name, "stream"):
                pieces = _Streamed(self._backend, name, _event(request))
                return Reply(200, b"", {**_HEADERS, "Content-Type": "application/x-ndjson"}, pieces)
            case "POST", ("endpoints", name, "retire"):
                return _json(200, {"retired": self._backend.retire(name)})
        return _error(404, f"{request.method} {request.path[:100]} is not served here")

    def _openapi(self, name: str) -> dict[str, Json]:
        script = next((each for each in self._backend.scripts() if each.name == name), None)
        if script is None:
            raise BackendError(f"there is no script {name!r}", 404)
        return openapi(script, self._backend.url(name))


class _Streamed:
    """A streamed answer as JSON lines: `{"piece": text}`, then `{"end": {...}}`, or `{"error": {...}}`."""

    def __init__(self, backend: Backend, name: str, event: bytes) -> None:
        self._lines = self._made(backend, name, event)

    def __iter__(self) -> Generator[bytes]:
        return self._lines

    def close(self) -> None:
        self._lines.close()

    def _made(self, backend: Backend, name: str, event: bytes) -> Generator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end within a character
        try:
            with backend.stream(name, event) as parts:
                for part in parts:
                    if isinstance(part, Ended):
                        yield _line({"piece": decoder.decode(b"", final=True)})
                        yield _line({"end": part.to_json()})
                    elif text := decoder.decode(part):
                        yield _line({"piece": text})
        except BackendError as error:
            yield _line({"error": {"message": str(error)}})


def _event(request: UrlRequest) -> bytes:
    """Raises BackendError. A form of another page can send text, but not as JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BackendError("expected content-type: application/json", 415)
    try:
        json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise BackendError(f"the event is not JSON: {error}", 400) from None
    return request.body


def _update(request: UrlRequest) -> Update:
    """Raises BackendError."""
    try:
        return Update.from_json(json.loads(_event(request)))
    except WrongShape as wrong:
        raise BackendError(str(wrong), 400) from None


def _asset(request: UrlRequest) -> Reply:
    name = request.path.removeprefix("/") or "index.html"
    known = {path.name: path for path in PAGE.iterdir()}
    if request.method not in ("GET", "HEAD") or name not in known:
        return _error(404, f"{request.method} {request.path[:100]} is not served here")
    path = known[name]
    return Reply(200, path.read_bytes(), {**_HEADERS, "Content-Type": _TYPES[path.suffix]})


def _record(record: Record) -> Reply:
    return _json(200, record.to_json())


def _json(status: int, value: Json) -> Reply:
    return Reply(status, json.dumps(value).encode(), {**_HEADERS, "Content-Type": "application/json"})


def _error(status: int, message: str) -> Reply:
    return _json(status, {"error": {"message": message}})


def _line(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value).encode() + b"\n"
