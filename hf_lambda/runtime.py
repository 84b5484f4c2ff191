"""`python -m hf_lambda.runtime chat.handler`: awslambdaric, and answers sent while they are made.

awslambdaric 4.2.2 cannot stream. This is its own client with one more way to post a result; once it can, this
module goes. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html describes the protocol.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import sys
from typing import Any

from awslambdaric import bootstrap
from awslambdaric.lambda_config import LambdaConfigProvider
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from .streaming import Stream

HTTP = "application/vnd.awslambda.http-integration-response"
_PLAIN = "application/octet-stream"
_PRELUDE_END = bytes(8)
_HEADERS = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}


class Marshaller(LambdaMarshaller):  # type: ignore[misc]
    def marshal_response(self, response: Any) -> tuple[Any, str]:
        if isinstance(response, Stream):
            return response, HTTP if response.http else _PLAIN
        marshalled: tuple[Any, str] = super().marshal_response(response)
        return marshalled


class Client(LambdaRuntimeClient):  # type: ignore[misc]
    marshaller = Marshaller()

    def post_invocation_result(
        self, invoke_id: str, result_data: Any, content_type: str = "application/json", *rest: Any
    ) -> None:
        if isinstance(result_data, Stream):
            self._post_stream(invoke_id, result_data, content_type)
        else:
            super().post_invocation_result(invoke_id, result_data, content_type, *rest)

    def _post_stream(self, invoke_id: str, stream: Stream, content_type: str) -> None:
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

    def _send_pieces(self, connection: http.client.HTTPConnection, pieces: Any) -> bytes:
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


def main(arguments: list[str]) -> None:
    config = LambdaConfigProvider(arguments)
    bootstrap.run(config.handler, Client(config.api_address, config.use_thread_polling))


if __name__ == "__main__":
    main(sys.argv)
