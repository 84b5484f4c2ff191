"""Bodies of HTTP requests that are forms with files: multipart/form-data (RFC 7578)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import BadRequest

if TYPE_CHECKING:
    from email.message import Message

CONTENT_TYPE = "multipart/form-data"
_MOST_PARTS = 100
"""Each becomes an object of a kilobyte or two, however little is in it."""
_MOST_HEADER_BYTES = 1 << 14
"""Of one part: a name and a file's name."""


@dataclass(frozen=True)
class Form:
    """What each name was sent with, in the order in which it came."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a form. Raises BadRequest where `body` is none."""
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != CONTENT_TYPE or "boundary" not in parameters.lower():
        raise BadRequest("content-type", f"{CONTENT_TYPE} with a boundary", kind.strip() or "nothing")
    if "\r" in content_type or "\n" in content_type or not content_type.isascii():
        raise BadRequest("content-type", "one line of ASCII", "something else")
    boundary = _message(f"Content-Type: {content_type}").get_boundary()
    if not boundary:
        raise BadRequest("content-type", f"{CONTENT_TYPE} with a boundary", "an empty one")
    form = Form()
    for part in _parts(body, boundary.encode()):
        _add(form, part)
    return form


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    """What lies between the lines of a boundary. Not by the email package, which makes an object of each line
    of a file: megabytes of line feeds would take minutes."""
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    parts: list[bytes] = []
    start: int | None = None
    for found in line.finditer(body):
        if start is not None:
            parts.append(body[start : found.start()])
        if found[1]:
            return parts
        if len(parts) >= _MOST_PARTS:
            raise BadRequest(None, f"a form of at most {_MOST_PARTS} parts", "more")
        start = found.end()
    raise BadRequest(None, "a whole form", "one that is cut")


def _add(form: Form, part: bytes) -> None:
    end = _BLANK.search(part, 0, _MOST_HEADER_BYTES)
    if end is None:
        expected = (
            f"parts of a form, each with at most {_MOST_HEADER_BYTES} bytes of headers and an empty line"
        )
        raise BadRequest(None, expected, "another part")
    message = _message(part[: end.start()].decode("utf-8", "replace").lstrip("\r\n"))
    name = message.get_param("name", header="content-disposition")
    is_plain = message.get_content_maintype() not in ("multipart", "message")
    if not isinstance(name, str) or not is_plain:
        raise BadRequest(None, "parts of a form, each with a name and one content", "another part")
    content = _decoded(message, part[end.end() :])
    if message.get_filename() is not None or message.get_content_maintype() != "text":
        form.files.setdefault(name, []).append(content)
        return
    try:
        form.texts.setdefault(name, []).append(content.decode())
    except UnicodeDecodeError:
        raise BadRequest(name, "text in UTF-8", "other bytes") from None


_BLANK = re.compile(rb"\r?\n\r?\n")


def _decoded(message: Message, content: bytes) -> bytes:
    """`content` without its Content-Transfer-Encoding, which older clients still send."""
    if "content-transfer-encoding" not in message:
        return content
    message.set_payload(content.decode("ascii", "surrogateescape"))
    decoded = message.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else content


def _message(headers: str) -> Message:
    from email import message_from_string  # few requests are a form

    return message_from_string(f"{headers}\r\n\r\n")
