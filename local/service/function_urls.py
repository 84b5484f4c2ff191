"""Function URLs on one machine: a request becomes a version 2.0 event, the function's answer a response."""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, parse_qsl

from hf_lambda.records import Json
from local.program.functions import Cors
from local.service.instances import InvocationResult
from local.service.lambda_api import Reply

PREFIX = "/urls/"
_TEXT = (
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-www-form-urlencoded",
)
_OF_THE_CONNECTION = {"content-length", "transfer-encoding", "connection", "keep-alive"}
_FORBIDDEN = b'{"Message":"Forbidden"}'
_FAILED = b'{"Message":"Internal Server Error"}'


@dataclass(frozen=True)
class UrlRequest:
    """One HTTP request to a Function URL."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    source_ip: str

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature; whose, and whether it is right, AWS alone can tell."""
        if self.headers.get("authorization", "").startswith("AWS4-"):
            return True
        return "X-Amz-Signature" in parse_qs(self.query)

    @property
    def is_preflight(self) -> bool:
        return (
            self.method == "OPTIONS"
            and "origin" in self.headers
            and "access-control-request-method" in self.headers
        )


def event(request: UrlRequest) -> bytes:
    """The payload that Lambda makes of a request: bodies other than text are in base64."""
    headers = dict(request.headers)
    cookies = headers.pop("cookie", None)
    text = _as_text(request)
    made: dict[str, Json] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "domainName": headers.get("host", ""),
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": text is None,
    }
    if cookies:
        made["cookies"] = cookies.split("; ")
    if request.query:
        made["queryStringParameters"] = _joined(request.query)
    if request.body:
        made["body"] = base64.b64encode(request.body).decode() if text is None else text
    return json.dumps(made).encode()


def reply(result: InvocationResult) -> Reply:
    """A failed function gives 502; a dict with `statusCode` says what to send; all else is sent as JSON."""
    if result.error:
        return _json(502, _FAILED)
    try:
        value = json.loads(result.payload)
    except ValueError:
        return _json(502, _FAILED)
    if not isinstance(value, dict) or "statusCode" not in value:
        return _json(200, result.payload)
    try:
        return _said(value)
    except (ValueError, TypeError, AttributeError):  # a status, headers or a body that are none
        return _json(502, _FAILED)


def forbidden() -> Reply:
    """What an unsigned request to a URL with `functionUrl: iam` gets."""
    return _json(403, _FORBIDDEN)


def preflight(cors: Cors, request: UrlRequest) -> Reply:
    """The answer to a preflight request, which Lambda gives by itself where CORS is configured."""
    headers = _cors_headers(cors, request)
    if headers:
        headers |= {
            "access-control-allow-methods": ",".join(cors.methods),
            "access-control-allow-headers": ",".join(cors.headers),
            "access-control-max-age": str(cors.max_age_s),
        }
    return Reply(200, b"", {name: value for name, value in headers.items() if value})


def with_cors(answer: Reply, cors: Cors, request: UrlRequest) -> Reply:
    """What Lambda adds to an answer; headers that the function itself sent give way."""
    added = _cors_headers(cors, request)
    if cors.exposed and added:
        added["access-control-expose-headers"] = ",".join(cors.exposed)
    kept = {name: value for name, value in answer.headers.items() if name not in added}
    return replace(answer, headers={**kept, **added})


def _cors_headers(cors: Cors, request: UrlRequest) -> dict[str, str]:
    origin = request.headers.get("origin")
    if origin is None or not ({"*", origin} & set(cors.origins)):
        return {}
    named = "*" if "*" in cors.origins and not cors.credentials else origin
    headers = {"access-control-allow-origin": named, "vary": "Origin"}
    return {**headers, "access-control-allow-credentials": "true"} if cors.credentials else headers


def _as_text(request: UrlRequest) -> str | None:
    """The body if it is text; None where it goes in base64."""
    if not request.body:
        return ""
    media_type = request.headers.get("content-type", "application/octet-stream")
    encoded = request.headers.get("content-encoding", "identity").lower() != "identity"
    if encoded or not media_type.lower().startswith(_TEXT):
        return None
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        return None


def _said(value: dict[str, Json]) -> Reply:
    body = value.get("body", "")
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    if value.get("isBase64Encoded"):
        data = base64.b64decode(data)
    given = {str(name).lower(): str(each) for name, each in (value.get("headers") or {}).items()}
    status = int(value["statusCode"])
    if not 200 <= status <= 599 or any(set("\r\n") & set(name + each) for name, each in given.items()):
        raise ValueError(f"status {status} or its headers cannot be sent")
    given = {name: each for name, each in given.items() if name not in _OF_THE_CONNECTION}
    return Reply(status, data, {"content-type": "application/json", **given})


def _json(status: int, body: bytes) -> Reply:
    return Reply(status, body, {"content-type": "application/json"})


def _joined(query: str) -> dict[str, str]:
    """Values of a name that comes more than once are joined by commas, as Lambda does."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(each) for name, each in values.items()}
