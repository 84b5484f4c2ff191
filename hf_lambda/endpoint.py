"""Turns a typed function into a Lambda handler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from itertools import chain, islice

from . import events
from .errors import BadRequest
from .handler import LambdaHandler, RequestHandler
from .inputs import Single
from .records import Json
from .routes import method_and_path
from .signature import Signature, json_type
from .streaming import JSON_LINES, Stream, guarded, joined, json_lines
from .trace import current


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
        if (trace := current.get()) is not None:
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
