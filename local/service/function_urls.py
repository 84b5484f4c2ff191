"""Function URLs on one machine: a request becomes a version 2.0 event, the function's answer a response."""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from local.service.instances import Answer
from local.service.lambda_api import Reply

PREFIX = "/urls/"
_TEXT = (
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-www-form-urlencoded",
)


def event(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, source_ip: str
) -> bytes:
    """The payload that Lambda makes of a request: headers in lower case, bodies other than text in base64."""
    lower = {name.lower(): value for name, value in headers.items()}
    binary = not lower.get("content-type", "application/octet-stream").startswith(_TEXT)
    now = time.time()
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": lower,
        "requestContext": {
            "domainName": lower.get("host", ""),
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip,
                "userAgent": lower.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(body) and binary,
    }
    if query:
        made["queryStringParameters"] = _joined(query)
    if body:
        made["body"] = base64.b64encode(body).decode() if binary else body.decode(errors="replace")
    return json.dumps(made).encode()


def reply(answer: Answer) -> Reply:
    """A failed function gives 502; a dict with `statusCode` says what to send; all else is sent as JSON."""
    if answer.error:
        return _json(502, b'{"Message":"Internal Server Error"}')
    try:
        value = json.loads(answer.payload)
    except ValueError:
        return _json(502, b'{"Message":"Internal Server Error"}')
    if not isinstance(value, dict) or "statusCode" not in value:
        return _json(200, answer.payload)
    body = value.get("body", "")
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    if value.get("isBase64Encoded"):
        data = base64.b64decode(data)
    headers = {
        "Content-Type": "application/json",
        **{str(k): str(v) for k, v in (value.get("headers") or {}).items()},
    }
    return Reply(int(value["statusCode"]), data, headers)


def _json(status: int, body: bytes) -> Reply:
    return Reply(status, body, {"Content-Type": "application/json"})


def _joined(query: str) -> dict[str, str]:
    """Values of a name that comes more than once are joined by commas, as Lambda does."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(each) for name, each in values.items()}
