"""Turns a typed function into a Lambda handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def endpoint(function: Callable[..., Any]) -> Callable[[Any, Any], dict[str, Any]]:
    def handler(event: Any, context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": function(**event)}

    return handler
