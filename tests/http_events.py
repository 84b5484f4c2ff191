"""Requests as a Function URL hands them to a handler."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def ask_http(
    handler: Callable[..., Any], path: str, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of the answer; without `method` GET where there is no body."""
    method = method or ("GET" if body is None else "POST")
    event = {
        "version": "2.0",
        "rawPath": path,
        "headers": headers,
        "requestContext": {"http": {"method": method, "path": path}},
        "body": json.dumps(body) if body is not None else "",
    }
    answer = handler(event)
    return answer["statusCode"], json.loads(answer["body"])
