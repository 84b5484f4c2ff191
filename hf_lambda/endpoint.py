"""What every handler does with an event, and `@endpoint`, which makes a handler of a typed function."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from itertools import chain, islice

from . import deadline, events, log
from .api_keys import check_key
from .errors import BadRequest, ServingError
from .events import method_and_path
from .inputs import Single
from .log import Stopwatch, Trace, current_trace, process_age_ms
from .records import Json
from .signature import Signature, json_type
from .streaming import JSON_LINES, Stream, guarded, joined, json_lines, sent, under

LambdaHandler = Callable[..., Json]
"""`handler(event, context)`, as the runtime calls it."""


def endpoint(function: Callable[..., Json]) -> LambdaHandler:
    """`def handler(text: str | list[str], top_k: int | None = None)` as a Lambda handler.

    The event's fields are checked against the signature. The answer is `{"statusCode", "body"}`; over HTTP
    with headers and a JSON string. A function that yields answers with all that it yields, as one text or
    an array; an event with `"stream": true` gets it as JSON lines, as they come. An iterator that a function
    returns is answered whole.
    Raises TypeError for a signature that no event can fill, and for a function that has to be awaited.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__}: Lambda does not await: write `def`, without async")
    served = _Endpoint(function, Signature(function))

    @functools.wraps(function)
    def handler(event: Json, context: object = None) -> Stream | dict[str, Json]:
        return served.answer(event, context)

    del handler.__wrapped__  # its signature is Lambda's, not the function's
    return handler


class RequestHandler:
    """Answers events one by one: keys, the line in the log, the edge of faults.

    A subclass says what an event is answered with.
    """

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


class _Endpoint(RequestHandler):
    def __init__(self, function: Callable[..., Json], signature: Signature) -> None:
        super().__init__(function.__module__)
        self._function, self._signature = function, signature
        self._yields = inspect.isgeneratorfunction(inspect.unwrap(function))

    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        if http and _asks_for_schema(event):
            return self._document()
        request = events.read(event)
        fields = dict(request.fields)
        as_lines = self._yields and self._asks_for_lines(fields)
        arguments = self._signature.bind(fields, is_text=request.is_text, file=request.file)
        if (trace := current_trace.get()) is not None:
            trace.left_out = self._signature.names - arguments.keys()
        result = self._function(**arguments)
        if as_lines:
            values = result if isinstance(result, Iterator) else iter([_unwrapped(result)])
            return self._lines(values, http, request_id)
        return joined(result) if isinstance(result, Iterator) else _unwrapped(result)

    def _asks_for_lines(self, fields: dict[str, Json]) -> bool:
        """Whether the event holds `"stream": true`; a handler that has such a parameter decides by itself."""
        if "stream" in self._signature.names or "stream" not in fields:
            return False
        given = fields.pop("stream")
        if not isinstance(given, bool | str) or given not in (True, False, "true", "false"):
            raise BadRequest("stream", "boolean", json_type(given))
        return given in (True, "true")

    def _document(self) -> dict[str, Json]:
        from . import schema  # few requests ask for it, and every module is part of a cold start

        parameters = inspect.signature(self._function, eval_str=True).parameters.values()
        return schema.document(self._name, schema.of_parameters(parameters), streams=self._yields)

    def _lines(self, values: Iterator[Json], http: bool, request_id: str) -> Stream:
        pieces = json_lines(values)
        # What fails before the first line still has a status of its own.
        first = list(islice(pieces, 1))
        guard = guarded(chain(first, pieces), lambda body: next(json_lines([body])), request_id=request_id)
        return Stream(guard, http=http, headers={"content-type": JSON_LINES})


def _asks_for_schema(event: Json) -> bool:
    method, path = method_and_path(event)
    return method == "GET" and path.endswith("/openapi.json")


def _unwrapped(result: Json) -> Json:
    if isinstance(result, Single):
        return result[0]
    if isinstance(result, list):
        return [_unwrapped(item) if isinstance(item, Single) else item for item in result]
    return result
