"""What every handler does with an event, whatever its API: keys, the line in the log, the edge of faults."""

from __future__ import annotations

import os
from collections.abc import Callable

from . import deadline, events, log
from .api_keys import check_key
from .errors import ServingError
from .log import Stopwatch, Trace, current_trace, process_age_ms
from .records import Json
from .streaming import Stream, sent, under

LambdaHandler = Callable[..., Json]
"""`handler(event, context)`, as the runtime calls it."""


class RequestHandler:
    """Answers events one by one. A subclass says what an event is answered with."""

    def __init__(self, name: str) -> None:
        self._name = os.environ.get("ENDPOINT_NAME") or name
        self._import_ms = process_age_ms()
        self._is_cold = True

    def answer(self, event: Json, context: object) -> Stream | dict[str, Json]:
        watch, trace, http = Stopwatch(), Trace(), events.is_http(event)
        deadline.begin(context)
        token = current_trace.set(trace)
        request_id = getattr(context, "aws_request_id", None) or os.urandom(16).hex()
        try:
            reply = self._reply(event, http, request_id)
        finally:
            current_trace.reset(token)
        if isinstance(reply, Stream):
            reply.headers |= trace.headers
            reply.pieces = under(trace, reply.pieces, lambda: self._log(watch, trace, 200, request_id))
            return sent(reply)
        if "headers" in reply:
            reply["headers"] |= trace.headers
        self._log(watch, trace, reply["statusCode"], request_id)
        return reply

    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        """The body of an answer, or a Stream. Raises ServingError."""
        raise NotImplementedError

    def _error_body(self, body: dict[str, Json], status: int, event: Json) -> dict[str, Json]:
        """`body`, which is {"error": {"type", "message", ...}}, as this API has errors."""
        return body

    def _reply(self, event: Json, http: bool, request_id: str) -> Stream | dict[str, Json]:
        try:
            if http:
                check_key(event)
            response = self._respond(event, http, request_id)
            return response if isinstance(response, Stream) else events.answer(200, response, http=http)
        except ServingError as error:
            log.unavailable(self._name, error, request_id)
            status, body = error.status, error.body()
        except Exception as error:  # noqa: BLE001 - the one edge that turns a fault into a 500
            log.write("fault", endpoint=self._name, id=request_id, error=log.fault(error))
            status, body = 500, events.internal_error(request_id)
        return events.error_answer(status, self._error_body(body, status, event), http=http)

    def _log(self, watch: Stopwatch, trace: Trace, status: int, request_id: str) -> None:
        """The request is over, its deadline with it."""
        deadline.end()
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
