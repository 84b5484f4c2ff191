"""Lambda events in, Lambda answers out: direct invocations, Function URLs and API Gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .errors import BadRequest, TooLarge
from .signature import json_type

MAX_ANSWER_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a synchronous answer."""
_ENVELOPE_BYTES = 128
"""Of the answer around its body: status, headers."""
MAX_REQUEST_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a synchronous request; of a compressed one, when it is decompressed."""


@dataclass(frozen=True)
class Request:
    """`fields` for the handler; `is_text`: all values are strings (a query), so numbers are parsed."""

    fields: dict[str, Any]
    is_text: bool = False
    file: bytes | None = None
    """The body, where it is a file (an image, sound) and not JSON; the fields are then the query's."""


def is_http(event: Any) -> bool:
    """Function URL and API Gateway events, of payload version 2.0 and 1.0."""
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        return False
    return "http" in event["requestContext"] or event.get("version") == "2.0" or "httpMethod" in event


def read(event: Any) -> Request:
    """The handler's fields in `event`. Raises BadRequest where they are not a JSON object, nor a file."""
    request = _read(event)
    _check_text(request.fields, "")
    return request


def _read(event: Any) -> Request:
    if not is_http(event):
        return Request(_object(event, "the event"))
    if event.get("body") and _is_file(event):
        return Request(_query(event), is_text=True, file=_file(event))
    body = _body(event)
    if not body.strip():
        return Request(_query(event), is_text=True)
    try:
        return Request(_object(json.loads(body), "the body"))
    except ValueError as error:
        raise BadRequest(None, "a JSON object as body", "text that is not JSON") from error


def answer(status: int, body: Any, *, http: bool) -> dict[str, Any]:
    """Exactly `{"statusCode", "body"}` for a direct invocation; headers and a JSON string over HTTP.

    Raises TooLarge over what Lambda can return, ValueError or TypeError for what JSON cannot say.
    """
    plain = jsonable(body)
    if http:
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size, reply = _escaped_size(text), _http_reply(status, text)
    else:
        # The runtime writes it once more; here it shows whether JSON can say it, and how long that is.
        size, reply = len(json.dumps(plain, allow_nan=False)), {"statusCode": status, "body": plain}
    if size + _ENVELOPE_BYTES > MAX_ANSWER_BYTES:
        raise TooLarge(
            f"the answer has {size / 2**20:.1f} MB, Lambda returns at most 6 MB: "
            'send fewer inputs per request, or ask for less (a lower top_k, pooling="mean")'
        )
    return reply


def _http_reply(status: int, text: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": text}


def _escaped_size(text: str) -> int:
    """Bytes of JSON `text` as the runtime writes it: a JSON string, with everything beyond ASCII escaped."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    plain = len(text.encode("ascii", "ignore"))
    return plain + 6 * (units - plain) + text.count('"') + text.count("\\")


def jsonable(value: Any) -> Any:
    """`value` as plain Python: numpy scalars and arrays, torch tensors, tuples and mappings converted."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return jsonable(value.tolist())
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise BadRequest(None, f"{what} as a JSON object", json_type(value))


def _check_text(value: Any, place: str) -> None:
    """Raises BadRequest for half a character: JSON can say it (`"\\ud83d"`), no tokenizer or answer can."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            expected = "text of whole characters"
            raise BadRequest(place or None, expected, "half of one (a lone surrogate)") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, place)
            _check_text(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, f"{place}[{index}]")


def _query(event: dict[str, Any]) -> dict[str, Any]:
    return dict(event.get("queryStringParameters") or {})


def _is_file(event: dict[str, Any]) -> bool:
    """Whether the content type says that the body is no JSON, whatever it then holds."""
    content_type = _header(event, "content-type").partition(";")[0].strip().lower()
    return content_type.startswith(("image/", "audio/", "video/")) or content_type in _FILES


_FILES = ("application/octet-stream", "application/ogg", "application/pdf")


def _file(event: dict[str, Any]) -> bytes:
    import base64

    if not event.get("isBase64Encoded"):
        # Read as text it has lost bytes: Function URLs encode by themselves, gateways where they are told to.
        raise BadRequest(
            None, "a file body that the gateway passes on in base64 (binary media types)", "text"
        )
    try:
        data = base64.b64decode(event["body"], validate=True)
    except ValueError as error:
        raise BadRequest(None, "a base64 body", "something else") from error
    return _decoded(event, data)


def _body(event: dict[str, Any]) -> str:
    """The body as text, without the byte order mark that some clients put first."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).removeprefix("\ufeff")
    import base64  # a gateway alone encodes: binary content types, and what is compressed

    try:
        return _decoded(event, base64.b64decode(body, validate=True)).decode("utf-8-sig")
    except ValueError as error:
        raise BadRequest(None, "a base64 body of UTF-8 text", "something else") from error


def _decoded(event: dict[str, Any], data: bytes) -> bytes:
    """`data` without its Content-Encoding. What it holds is bounded as an uncompressed request is."""
    encoding = _header(event, "content-encoding").lower() or "identity"
    if encoding == "identity":
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadRequest(None, "a body that is plain, gzip or deflate", f"Content-Encoding: {encoding[:40]}")
    import zlib

    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # tells gzip's header from zlib's by itself
    try:
        plain = inflater.decompress(data, MAX_REQUEST_BYTES + 1)
    except zlib.error as error:
        raise BadRequest(None, f"a {encoding} body, as Content-Encoding says", "something else") from error
    if len(plain) > MAX_REQUEST_BYTES:
        raise BadRequest(None, "a body of at most 6 MB when it is decompressed", "more")
    if not inflater.eof:
        raise BadRequest(None, f"a whole {encoding} body", "one that is cut")
    return plain


def _header(event: dict[str, Any], name: str) -> str:
    headers = event.get("headers") or {}
    return next((str(value) for key, value in headers.items() if str(key).lower() == name), "").strip()
