"""A loopback Lambda Invoke API over plain functions, as much of it as boto3 needs here."""

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

_FORBIDDEN = b"<E><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></E>"
Function = Callable[[Any], Any]
ACCOUNT = "arn:aws:lambda:us-east-1:000000000000:function:"


@dataclass
class Failure:
    """What a function returns to fail as Lambda reports it."""

    error_type: str
    message: str


@dataclass
class Refusal:
    """What a function returns so that the API refuses the call."""

    status: int
    code: str
    message: str = ""
    reason: str = ""


@dataclass
class Api:
    """`functions` by name; `log` gives the tail that a call leaves.

    `reserved`: concurrency of functions that have any reserved; None where the caller may not ask.
    `signed_by`: access keys of those who asked. `account`: theirs; None where STS refuses to say.
    """

    functions: dict[str, Function]
    log: Callable[[str], str] = lambda name: ""
    events: list[threading.Thread] = field(default_factory=list)
    url: str = ""
    reserved: dict[str, int | None] = field(default_factory=dict)
    signed_by: set[str] = field(default_factory=set)
    account: str | None = None

    def arn(self, name: str) -> str:
        return ACCOUNT + name

    def join(self) -> None:
        """Wait for every asynchronous invocation."""
        for thread in self.events:
            thread.join()


@contextlib.contextmanager
def serve_functions(api: Api) -> Iterator[Api]:
    """Serve `api` from threads until the block ends; asynchronous invocations are waited for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        api.join()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # with delayed ACKs it costs 40 ms per answer

        def parse_request(self) -> bool:
            well_formed = super().parse_request()
            if well_formed:
                _, _, credential = self.headers.get("Authorization", "").partition("Credential=")
                api.signed_by.add(credential.partition("/")[0])
            return well_formed

        def do_POST(self) -> None:
            if not self.path.startswith("/2015-03-31/functions/"):
                return self._answer(*self._of_sts())
            name = unquote(self.path.split("/")[3]).split(":")[-1]
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            function = api.functions.get(name)
            if function is None:
                return self._answer(404, _error(Refusal(404, "ResourceNotFoundException", name)))
            if self.headers["X-Amz-Invocation-Type"] == "Event":
                api.events.append(threading.Thread(target=function, args=(event,)))
                api.events[-1].start()
                return self._answer(202, (b"", {}))
            return self._answer(200, self._called(name, function(event)))

        def _of_sts(self) -> tuple[int, tuple[bytes, dict[str, str]]]:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if api.account is None or "Action=GetCallerIdentity" not in asked:
                return 403, (_FORBIDDEN, {"Content-Type": "text/xml"})
            result = f"<GetCallerIdentityResult><Account>{api.account}</Account></GetCallerIdentityResult>"
            return 200, (f"<R>{result}</R>".encode(), {"Content-Type": "text/xml"})

        def do_GET(self) -> None:
            name = unquote(self.path.split("/")[3]).split(":")[-1]
            if not self.path.endswith("/concurrency") or name not in api.functions:
                return self._answer(404, _error(Refusal(404, "ResourceNotFoundException", name)))
            reserved = api.reserved.get(name, -1)
            if reserved is None:
                return self._answer(403, _error(Refusal(403, "AccessDeniedException", name)))
            found = {} if reserved < 0 else {"ReservedConcurrentExecutions": reserved}
            return self._answer(200, (json.dumps(found).encode(), {}))

        def _called(self, name: str, result: Any) -> tuple[bytes, dict[str, str]]:
            headers = {}
            if self.headers.get("X-Amz-Log-Type") == "Tail":
                headers["X-Amz-Log-Result"] = base64.b64encode(api.log(name).encode()).decode()
            if isinstance(result, Failure):
                headers["X-Amz-Function-Error"] = "Unhandled"
                result = {"errorType": result.error_type, "errorMessage": result.message}
            if isinstance(result, Refusal):
                return _error(result)
            return json.dumps(result).encode(), headers

        def _answer(self, status: int, answer: tuple[bytes, dict[str, str]]) -> None:
            body, headers = answer
            self.send_response(int(headers.pop("status", status)))
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    return Handler


def _error(refusal: Refusal) -> tuple[bytes, dict[str, str]]:
    said = {"Message": refusal.message, "message": refusal.message, "Type": "User"}
    body = {**said, **({"Reason": refusal.reason} if refusal.reason else {})}
    return json.dumps(body).encode(), {"x-amzn-ErrorType": refusal.code, "status": str(refusal.status)}
