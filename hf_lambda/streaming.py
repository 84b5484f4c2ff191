"""Answers that are sent while they are made, or at once where the runtime cannot do that."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from . import log
from .errors import ServingError
from .events import internal_error, jsonable, sayable
from .log import Trace, current_trace
from .records import Json

JSON_LINES = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
STREAMS = "RESPONSE_STREAM"
"""Variable that the program sets for functions that stream: they answer piece by piece."""


class Stream:
    """Pieces of bytes to send as they come; over HTTP with status and headers before them."""

    def __init__(
        self,
        pieces: Iterable[bytes],
        *,
        http: bool,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.pieces, self.http, self.status, self.headers = pieces, http, status, dict(headers or {})

    def whole(self) -> dict[str, Json]:
        """The same answer at once, for a runtime that cannot stream."""
        text = b"".join(self.pieces).decode()
        if not self.http:
            return {"statusCode": self.status, "body": text}
        return {"statusCode": self.status, "headers": self.headers, "body": text}


def streams(environ: Mapping[str, str] = os.environ) -> bool:
    return environ.get(STREAMS) == "1"


def sent(stream: Stream, environ: Mapping[str, str] = os.environ) -> Stream | dict[str, Json]:
    """What the handler returns: the stream where the runtime can send it, else the whole answer."""
    return stream if streams(environ) else stream.whole()


def json_lines(values: Iterable[Json]) -> Iterator[bytes]:
    """One line for each value."""
    for value in values:
        yield json.dumps(jsonable(value), allow_nan=False, ensure_ascii=False).encode() + b"\n"


def guarded(
    pieces: Iterable[bytes], failed: Callable[[dict[str, Json]], bytes], *, request_id: str
) -> Iterator[bytes]:
    """`pieces`; what goes wrong becomes a last piece, `failed(error body)`: the status is sent already.

    The log says what it was and how much had been sent. A client that went away ends it without a word.
    """
    count = size = 0
    try:
        for piece in pieces:
            yield piece
            count, size = count + 1, size + len(piece)
    except ServingError as error:
        log.write("broken_off", id=request_id, sent_pieces=count, sent_bytes=size, error=log.fault(error))
        yield failed(sayable(error.body()))
    except Exception as error:  # noqa: BLE001 - the edge that turns a fault into an answer
        log.write("fault", id=request_id, sent_pieces=count, sent_bytes=size, error=log.fault(error))
        yield failed(internal_error(request_id))


def under(trace: Trace, pieces: Iterable[bytes], ended: Callable[[], None]) -> Iterator[bytes]:
    """`pieces`, each made while `trace` is the current one; `ended` is called when they end, however."""
    made = iter(pieces)
    try:
        while True:
            token = current_trace.set(trace)
            try:
                piece = next(made, None)
            finally:
                current_trace.reset(token)
            if piece is None:
                return
            yield piece
    finally:
        if (close := getattr(made, "close", None)) is not None:
            close()
        ended()


def joined(values: Iterable[Json]) -> Json:
    """What a generator yields, as one value: pieces of text as a text, everything else as a list."""
    every = list(values)
    return "".join(every) if every and all(isinstance(value, str) for value in every) else every
