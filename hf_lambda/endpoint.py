"""Turns a typed function into a Lambda handler."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from . import events, log
from .errors import ServingError
from .inputs import Single
from .signature import Signature
from .trace import Stopwatch, Trace, current, process_age_ms

Handler = Callable[[Any, Any], dict[str, Any]]


def endpoint(function: Callable[..., Any]) -> Handler:
    """`def handler(text: str | list[str], top_k: int | None = None)` as a Lambda handler.

    The event's fields are checked against the signature. The answer is `{"statusCode", "body"}`; over HTTP
    with headers and a JSON string. Raises TypeError for a signature that no event can fill.
    """
    served = _Endpoint(function, Signature(function))

    @functools.wraps(function)
    def handler(event: Any, context: Any = None) -> dict[str, Any]:
        return served.answer(event, context)

    del handler.__wrapped__  # its signature is Lambda's, not the function's
    return handler


class _Endpoint:
    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._function, self._signature = function, signature
        self._name = os.environ.get("ENDPOINT_NAME") or function.__module__
        self._import_ms = process_age_ms()
        self._is_cold = True

    def answer(self, event: Any, context: Any) -> dict[str, Any]:
        watch, trace = Stopwatch(), Trace()
        token = current.set(trace)
        request_id = getattr(context, "aws_request_id", None) or os.urandom(16).hex()
        try:
            reply = self._reply(event, request_id)
        finally:
            current.reset(token)
        log.write(
            "request",
            endpoint=self._name,
            cold=self._is_cold,
            engine="+".join(trace.engines) or None,
            import_ms=_rounded(self._import_ms) if self._is_cold else 0,
            load_ms=_rounded(trace.load_ms),
            infer_ms=_rounded(trace.infer_ms),
            total_ms=_rounded(watch.ms),
            status=reply["statusCode"],
            request_id=request_id,
        )
        self._is_cold = False
        return reply

    def _reply(self, event: Any, request_id: str) -> dict[str, Any]:
        http = events.is_http(event)
        try:
            request = events.read(event)
            arguments = self._signature.bind(request.fields, is_text=request.is_text, file=request.file)
            return events.answer(200, _unwrapped(self._function(**arguments)), http=http)
        except ServingError as error:
            return events.answer(error.status, error.body(), http=http)
        except Exception as error:  # noqa: BLE001 - the one edge that turns a fault into a 500
            log.write("fault", endpoint=self._name, id=request_id, error=log.fault(error, event))
            message = "the endpoint failed; its log has this id"
            return events.answer(
                500, {"error": {"type": "InternalError", "id": request_id, "message": message}}, http=http
            )


def _unwrapped(result: Any) -> Any:
    if isinstance(result, Single):
        return result[0]
    if isinstance(result, list):
        return [_unwrapped(item) if isinstance(item, Single) else item for item in result]
    return result


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
