"""Turns a typed function into a Lambda handler."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from itertools import chain, islice
from typing import Any

from . import events, log
from .api_keys import check_key
from .errors import BadRequest, ServingError
from .inputs import Single
from .signature import Signature, json_type
from .streaming import JSON_LINES, Stream, guarded, joined, json_lines, sent, under
from .trace import Stopwatch, Trace, current, process_age_ms

Handler = Callable[..., Any]


def endpoint(function: Callable[..., Any]) -> Handler:
    """`def handler(text: str | list[str], top_k: int | None = None)` as a Lambda handler.

    The event's fields are checked against the signature. The answer is `{"statusCode", "body"}`; over HTTP
    with headers and a JSON string. A function that yields answers with all that it yields, as one text or
    an array; an event with `"stream": true` gets it as JSON lines, as they come.
    Raises TypeError for a signature that no event can fill.
    """
    served = _Endpoint(function, Signature(function))

    @functools.wraps(function)
    def handler(event: Any, context: Any = None) -> Any:
        return served.answer(event, context)

    del handler.__wrapped__  # its signature is Lambda's, not the function's
    return handler


class _Endpoint:
    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._function, self._signature = function, signature
        self._name = os.environ.get("ENDPOINT_NAME") or function.__module__
        self._import_ms = process_age_ms()
        self._is_cold = True
        self._yields = inspect.isgeneratorfunction(function)

    def answer(self, event: Any, context: Any) -> Any:
        watch, trace = Stopwatch(), Trace()
        token = current.set(trace)
        request_id = getattr(context, "aws_request_id", None) or os.urandom(16).hex()
        try:
            reply = self._reply(event, request_id)
        finally:
            current.reset(token)
        if isinstance(reply, Stream):
            reply.headers |= trace.headers
            reply.pieces = under(trace, reply.pieces, lambda: self._log(watch, trace, 200, request_id))
            return sent(reply)
        if "headers" in reply:
            reply["headers"] |= trace.headers
        self._log(watch, trace, reply["statusCode"], request_id)
        return reply

    def _reply(self, event: Any, request_id: str) -> Any:
        http = events.is_http(event)
        try:
            if http:
                check_key(event)
            request = events.read(event)
            fields = dict(request.fields)
            as_lines = self._yields and self._asks_for_lines(fields)
            arguments = self._signature.bind(fields, is_text=request.is_text, file=request.file)
            if (trace := current.get()) is not None:
                trace.left_out = self._signature.names - arguments.keys()
            result = self._function(**arguments)
            if as_lines:
                return self._lines(result, http, request_id)
            return events.answer(200, joined(result) if self._yields else _unwrapped(result), http=http)
        except ServingError as error:
            log.unavailable(self._name, error, request_id)
            return events.error_answer(error.status, error.body(), http=http)
        except Exception as error:  # noqa: BLE001 - the one edge that turns a fault into a 500
            log.write("fault", endpoint=self._name, id=request_id, error=log.fault(error))
            message = "the endpoint failed; its log has this id"
            return events.error_answer(
                500, {"error": {"type": "InternalError", "id": request_id, "message": message}}, http=http
            )

    def _asks_for_lines(self, fields: dict[str, Any]) -> bool:
        """Whether the event holds `"stream": true`; a handler that has such a parameter decides by itself."""
        if "stream" in self._signature.names or "stream" not in fields:
            return False
        given = fields.pop("stream")
        if not isinstance(given, bool | str) or given not in (True, False, "true", "false"):
            raise BadRequest("stream", "boolean", json_type(given))
        return given in (True, "true")

    def _lines(self, result: Any, http: bool, request_id: str) -> Stream:
        values = iter(result)
        # What fails before the first value still has a status of its own.
        first = list(islice(values, 1))
        pieces = json_lines(chain(first, values))
        guard = guarded(pieces, lambda body: next(json_lines([body])), request_id=request_id)
        return Stream(guard, http=http, headers={"content-type": JSON_LINES})

    def _log(self, watch: Stopwatch, trace: Trace, status: int, request_id: str) -> None:
        log.request(
            self._name,
            trace,
            watch,
            cold=self._is_cold,
            import_ms=self._import_ms,
            status=status,
            request_id=request_id,
        )
        self._is_cold = False


def _unwrapped(result: Any) -> Any:
    if isinstance(result, Single):
        return result[0]
    if isinstance(result, list):
        return [_unwrapped(item) if isinstance(item, Single) else item for item in result]
    return result
