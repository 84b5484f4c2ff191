"""Lambda events in, Lambda answers out: direct invocations, Function URLs and API Gateway."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass

from .errors import BadRequest, NotFound, TooLarge
from .records import Json
from .signature import json_type

JSON = "application/json"
MAX_ANSWER_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a synchronous answer."""
_ENVELOPE_BYTES = 128
"""Of the answer around its body: status, headers."""
MAX_REQUEST_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a synchronous request; of a compressed one, when it is decompressed."""
_MAX_DEPTH = 100
"""Of arrays and objects in each other. Python reads a thousand, and then nobody can walk through them."""
_MAX_INTEGER = 2**63
"""Numbers beyond are none of a tensor's, whatever they are for."""
_MAX_ERROR_TEXT = 2000
"""Characters of one text of an error's body: names of fields come from the caller."""


@dataclass(frozen=True)
class Request:
    """`fields` for the handler; `is_text`: all values are strings (a query), so numbers are parsed."""

    fields: dict[str, Json]
    is_text: bool = False
    file: bytes | None = None
    """The body, where it is a file (an image, sound) and not JSON; the fields are then the query's."""


@dataclass(frozen=True)
class Body:
    """A request's body, its content type, and the content type that the caller accepts."""

    content: str | bytes
    content_type: str
    accept: str = JSON


class Nested(list[Json]):
    """Stands for an event that is nested too deeply to be read at all."""


def is_http(event: Json) -> bool:
    """Function URL and API Gateway events, of payload version 2.0 and 1.0."""
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        return False
    return "http" in event["requestContext"] or event.get("version") == "2.0" or "httpMethod" in event


def method_and_path(event: Json) -> tuple[str, str]:
    """Of an HTTP event, as the client wrote them but for what is quoted and a slash at the end.

    HEAD is GET: it asks for the same answer, whose content the server leaves out (RFC 9110, 9.3.2).
    """
    context = event["requestContext"]
    described = context.get("http")
    named = described.get("method") if isinstance(described, dict) else None
    method = str(named or event.get("httpMethod") or "GET").upper()
    path = str(event.get("rawPath") or event.get("path") or "/")
    if "%" in path:
        from urllib.parse import unquote  # clients quote the slash of a model's id

        path = unquote(path)
    return "GET" if method == "HEAD" else method, path.rstrip("/") or "/"


def without_stage(path: str, known: Collection[str]) -> str:
    """`path` as the one of `known` that it ends with: a gateway's stage may come before it."""
    return max((each for each in known if each != "/" and path.endswith(each)), key=len, default=path)


def check_model(given: Json, served: str) -> None:
    """Raises NotFound where a request names another model than the one that is `served`."""
    if given is not None and given != served:
        raise NotFound(f"the model {given!r} is not served here; this endpoint has {served!r}", "model")


def read(event: Json) -> Request:
    """The handler's fields in `event`. Raises BadRequest where they are not a JSON object, nor a file."""
    request = _read(event)
    _check_values(request.fields)
    return request


def read_files(event: Json) -> Request:
    """As `read`, where a form with files may come too: a file's field is bytes, one that came several times
    an array. Raises BadRequest."""
    if not is_http(event) or not _header(event, "content-type").lower().startswith("multipart/"):
        return read(event)
    from .forms import read_form  # few requests are one

    form = read_form(_header(event, "content-type"), _file(event))
    fields: dict[str, Json] = {name: texts for name, texts in form.texts.items() if name.endswith("[]")}
    fields = {name.removesuffix("[]"): texts for name, texts in fields.items()}
    single = {name: texts for name, texts in form.texts.items() if not name.endswith("[]")}
    fields |= {name: texts[0] if len(texts) == 1 else texts for name, texts in single.items()}
    _check_values(fields)
    for name, files in form.files.items():
        if len(files) > 1:
            raise BadRequest(name, "one file", f"{len(files)}")
        fields[name] = files[0]
    return Request(fields)


def read_body(event: Json) -> Body:
    """The body of a request as it came: text where its content type says so, else bytes.

    Raises BadRequest for a binary body that came as text, and for JSON that is none.
    """
    if not is_http(event):
        if isinstance(event, Nested):
            raise BadRequest(None, _SHALLOW, "more")
        _check_values({"": event})
        return Body(json.dumps(event), JSON)
    content_type = _header(event, "content-type") or JSON
    media_type = media_type_of(content_type)
    accept = accept_of(event)
    if media_type != JSON and not media_type.startswith("text/"):
        return Body(_file(event), content_type, accept)
    text = _body(event)
    if media_type == JSON:
        _check_values({"": _parsed(text)})
    return Body(text, content_type, accept)


def accept_of(event: Json) -> str:
    """The content type that the caller accepts; JSON where it is all the same."""
    accept = _header(event, "accept") if is_http(event) else ""
    return JSON if accept in ("", "*/*") else accept


def _read(event: Json) -> Request:
    if not is_http(event):
        return Request(_object(event, "the event"))
    if event.get("body") and _is_file(event):
        return Request(query_of(event), is_text=True, file=_file(event))
    try:
        body = _body(event)
        if not body.strip():
            return Request(query_of(event), is_text=True)
        return Request(_object(_parsed(body), "the body"))
    except BadRequest as problem:
        raise _by_content_type(event, problem) from problem


_NO_JSON, _NO_TEXT = "text that is not JSON", "something that is no text"
_CONTENT_TYPES = (
    "application/json, or for a file as the body its own type (image/jpeg, audio/wav, ...) or "
    "application/octet-stream"
)


def _by_content_type(event: dict[str, Json], problem: BadRequest) -> BadRequest:
    """`problem` of reading JSON, or that it was sent as something else: a form, a file without its type."""
    media_type = media_type_of(_header(event, "content-type"))
    is_json = media_type == JSON or media_type.endswith("+json")
    if problem.given not in (_NO_JSON, _NO_TEXT) or is_json or (not media_type and problem.given == _NO_JSON):
        return problem
    return BadRequest("content-type", _CONTENT_TYPES, media_type or "none, with a body that is no text")


def answer(status: int, body: Json, *, http: bool) -> dict[str, Json]:
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


def internal_error(request_id: str) -> dict[str, Json]:
    """The body of a fault: nothing of it but where to look."""
    message = "the endpoint failed; its log has this id"
    return {"error": {"type": "InternalError", "id": request_id, "message": message}}


def error_answer(status: int, body: Json, *, http: bool) -> dict[str, Json]:
    """As `answer`, and never too large, nor anything that JSON cannot say: it raises nothing.

    Names of fields are the caller's, and may have millions of characters, or half of one.
    """
    try:
        return answer(status, sayable(body), http=http)
    except TooLarge:
        return answer(status, {"error": {"message": "the error has more to say than fits"}}, http=http)


def sayable(value: Json, depth: int = 0) -> Json:
    """`value` as JSON that is short enough, whatever it is."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _MAX_INTEGER else repr(value)[:_MAX_ERROR_TEXT]
    if isinstance(value, dict) and depth < _MAX_ERROR_DEPTH:
        some = list(value.items())[:_MAX_ERROR_ITEMS]
        return {_short(str(key)): sayable(item, depth + 1) for key, item in some}
    if isinstance(value, list | tuple) and depth < _MAX_ERROR_DEPTH:
        return [sayable(item, depth + 1) for item in value[:_MAX_ERROR_ITEMS]]
    return _short(value if isinstance(value, str) else type(value).__name__)


_MAX_ERROR_DEPTH, _MAX_ERROR_ITEMS = 4, 50


def _short(text: str) -> str:
    cut = text if len(text) <= _MAX_ERROR_TEXT else f"{text[: _MAX_ERROR_TEXT - 3]}..."
    return cut.encode(errors="replace").decode()


def _http_reply(status: int, text: str) -> dict[str, Json]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": text}


def _escaped_size(text: str) -> int:
    """Bytes of JSON `text` as the runtime writes it: a JSON string, with everything beyond ASCII escaped."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    plain = len(text.encode("ascii", "ignore"))
    return plain + 6 * (units - plain) + text.count('"') + text.count("\\")


def jsonable(value: Json) -> Json:
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


def _object(value: Json, what: str) -> dict[str, Json]:
    if isinstance(value, dict):
        return value
    if isinstance(value, Nested):
        raise BadRequest(None, _SHALLOW, "more")
    raise BadRequest(None, f"{what} as a JSON object", json_type(value))


def _parsed(text: str) -> Json:
    """JSON as its standard has it: Python's reader also takes NaN and the infinities."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadRequest(None, "a JSON object as body", _NO_JSON) from error
    except RecursionError as error:
        raise BadRequest(None, _SHALLOW, "more") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_SHALLOW = f"arrays and objects at most {_MAX_DEPTH} deep in each other"


def _check_values(fields: dict[str, Json]) -> None:
    """Raises BadRequest for what JSON can say and no tokenizer, tensor or answer can, with its place.

    Half a character (`"\\ud83d"`), a number beyond 64 bits or all bounds (1e400), and endless nesting.
    """
    waiting: list[tuple[Json, str, int]] = [(fields, "", 0)]
    while waiting:
        value, place, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value, place)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise BadRequest(place or None, "a number that a computer can hold", "an infinite one")
        elif isinstance(value, int):
            if not -_MAX_INTEGER <= value < _MAX_INTEGER:
                raise BadRequest(place or None, "a whole number of at most 64 bits", "a larger one")
        elif isinstance(value, dict | list):
            if depth >= _MAX_DEPTH:
                raise BadRequest(place or None, _SHALLOW, "more")
            if isinstance(value, list):
                inside = [(item, f"{place}[{index}]") for index, item in enumerate(value)]
            else:
                for key in value:
                    _check_text(key, place)
                inside = [(item, f"{place}.{key}" if place else str(key)) for key, item in value.items()]
            # In the order in which they came: the first that is wrong is the one that is named.
            waiting += [(item, where, depth + 1) for item, where in reversed(inside)]


def _check_text(text: str, place: str) -> None:
    if not isinstance(text, str) or text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        expected = "text of whole characters"
        raise BadRequest(place or None, expected, "half of one (a lone surrogate)") from None


def query_of(event: dict[str, Json]) -> dict[str, Json]:
    """The parameters of an HTTP event's query, as text."""
    query = event.get("queryStringParameters") or {}
    if not isinstance(query, dict):
        raise BadRequest("queryStringParameters", "an object", json_type(query))
    return dict(query)


def _is_file(event: dict[str, Json]) -> bool:
    """Whether the content type says that the body is no JSON, whatever it then holds."""
    media_type = media_type_of(_header(event, "content-type"))
    return media_type.startswith(("image/", "audio/", "video/")) or media_type in _FILES


_FILES = ("application/octet-stream", "application/ogg", "application/pdf")


def _file(event: dict[str, Json]) -> bytes:
    import base64

    if not event.get("isBase64Encoded"):
        # Read as text it has lost bytes: Function URLs encode by themselves, gateways where they are told to.
        raise BadRequest(
            None, "a file body that the gateway passes on in base64 (binary media types)", "text"
        )
    try:
        data = base64.b64decode(_body_text(event), validate=True)
    except ValueError as error:
        raise BadRequest(None, "a base64 body", "something else") from error
    return _decoded(event, data)


def _body(event: dict[str, Json]) -> str:
    """The body as text, without the byte order mark that some clients put first."""
    body = _body_text(event)
    if not event.get("isBase64Encoded"):
        return body.removeprefix("\ufeff")
    import base64  # a gateway alone encodes: binary content types, and what is compressed

    try:
        return _decoded(event, base64.b64decode(body, validate=True)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(None, "a body of UTF-8 text", _NO_TEXT) from error
    except ValueError as error:
        raise BadRequest(None, "a base64 body of UTF-8 text", "something else") from error


def _body_text(event: dict[str, Json]) -> str:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise BadRequest("body", "string", json_type(body))
    return body


def _decoded(event: dict[str, Json], data: bytes) -> bytes:
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


def media_type_of(header: str) -> str:
    """Of a content type or what is accepted, without its parameters and in small letters."""
    return header.partition(";")[0].strip().lower()


def _header(event: dict[str, Json], name: str) -> str:
    return headers_of(event).get(name, "").strip()


def headers_of(event: dict[str, Json]) -> dict[str, str]:
    """The request's headers by their names in lower case. Raises BadRequest where they are none."""
    headers = event.get("headers") or {}
    if not isinstance(headers, dict):
        raise BadRequest("headers", "an object", json_type(headers))
    return {str(name).lower(): str(value) for name, value in headers.items()}
