"""`python -m hf_lambda.runtime chat.handler`: awslambdaric with five changes.

A script without `handler` may have what custom_handler.py knows. Pings are answered before it. No messages of
exceptions are logged, which quote what callers sent. Answers are sent while they are made: awslambdaric 4.2.2
cannot stream, so its client has one more way to post a result here. And random state is seeded anew after a
restore from a snapshot.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html describes the protocol.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from awslambdaric import bootstrap
from awslambdaric.lambda_config import LambdaConfigProvider
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from awslambdaric.lambda_runtime_exception import FaultException
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from .events import Nested
from .log import logs_messages
from .ping import answering_pings
from .records import Json
from .refused import naming_refusals
from .restored import SNAP_START, reseed_after_restore
from .streaming import Stream

if TYPE_CHECKING:
    import http.client

    from .endpoint import LambdaHandler

HTTP = "application/vnd.awslambda.http-integration-response"
_PLAIN = "application/octet-stream"
_PRELUDE_END = bytes(8)
_HEADERS = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}


class Marshaller(LambdaMarshaller):  # type: ignore[misc]
    def unmarshal_request(self, request: bytes, content_type: str = "application/json") -> Json:
        """The event; one that is nested too deeply is the handler's to refuse."""
        try:
            return super().unmarshal_request(request, content_type)
        except FaultException as error:
            if isinstance(error.__context__, RecursionError):
                return Nested()
            raise

    def marshal_response(self, response: Stream | Json) -> tuple[Stream | str, str]:
        if isinstance(response, Stream):
            return response, HTTP if response.http else _PLAIN
        marshalled: tuple[str, str] = super().marshal_response(response)
        return marshalled


class Client(LambdaRuntimeClient):  # type: ignore[misc]
    marshaller = Marshaller()

    def post_invocation_result(
        self, invoke_id: str, result_data: Stream | str, content_type: str = "application/json", *rest: str
    ) -> None:
        if isinstance(result_data, Stream):
            self._post_stream(invoke_id, result_data, content_type)
        else:
            super().post_invocation_result(invoke_id, result_data, content_type, *rest)

    def _post_stream(self, invoke_id: str, stream: Stream, content_type: str) -> None:
        import http.client  # what does not stream starts sooner without

        connection = http.client.HTTPConnection(self.lambda_runtime_address)
        pieces = iter(stream.pieces)
        with contextlib.closing(connection):
            connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{invoke_id}/response")
            for name, value in {**_HEADERS, "Content-Type": content_type}.items():
                connection.putheader(name, value)
            connection.endheaders()
            try:
                if stream.http:
                    prelude = {"statusCode": stream.status, "headers": stream.headers, "cookies": []}
                    _send(connection, json.dumps(prelude).encode() + _PRELUDE_END)
                trailers = self._send_pieces(connection, pieces)
                connection.send(b"0\r\n" + trailers + b"\r\n")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                # Nobody listens any more: what is not generated yet need not be.
                if (close := getattr(pieces, "close", None)) is not None:
                    close()

    def _send_pieces(self, connection: http.client.HTTPConnection, pieces: Iterator[bytes]) -> bytes:
        """Trailers: none, or what went wrong on the way, for the status is sent."""
        while True:
            try:
                piece = next(pieces, None)
            except Exception as error:  # noqa: BLE001 - as awslambdaric treats what a handler raises
                body = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()
                return (
                    b"Lambda-Runtime-Function-Error-Type: " + type(error).__name__.encode() + b"\r\n"
                    b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(body) + b"\r\n"
                )
            if piece is None:
                return b""
            _send(connection, piece)


def _send(connection: http.client.HTTPConnection, piece: bytes) -> None:
    if piece:
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))


LogError = Callable[[Mapping[str, Json], object], None]


def without_messages(log_error: LogError) -> LogError:
    """awslambdaric's `log_error`, which then writes type and frames of what a handler raises, no message.

    What goes wrong before the first request (a module that is missing, a script's syntax) is logged whole.
    """

    def log(error_result: Mapping[str, Json], log_sink: object) -> None:
        if error_result.get("requestId") and not logs_messages():
            error_result = {**error_result, "errorMessage": ""}
        log_error(error_result, log_sink)

    return log


def finding_custom_handlers(get_handler: Callable[[str], LambdaHandler]) -> Callable[[str], LambdaHandler]:
    """awslambdaric's `_get_handler`, which then finds what a script for another server has instead."""

    def get(name: str) -> LambdaHandler:
        try:
            return get_handler(name)
        except FaultException as error:
            module = sys.modules.get(name.rpartition(".")[0].replace("/", "."))
            if error.exception_type != FaultException.HANDLER_NOT_FOUND or module is None:
                raise
            from .custom_handler import handler_of  # few scripts are one, and every module takes time

            if (handler := handler_of(module)) is None:
                raise
            return handler

    return get


def main(arguments: list[str]) -> None:
    config = LambdaConfigProvider(arguments)
    bootstrap.log_error = without_messages(bootstrap.log_error)
    get_handler = naming_refusals(finding_custom_handlers(bootstrap._get_handler))
    bootstrap._get_handler = answering_pings(get_handler)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == SNAP_START:
        reseed_after_restore()
    bootstrap.run(config.handler, Client(config.api_address, config.use_thread_polling))


if __name__ == "__main__":
    main(sys.argv)
