"""Bodies of HTTP requests that are forms with files: multipart/form-data (RFC 7578)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import BadRequest

if TYPE_CHECKING:
    from email.message import MIMEPart

CONTENT_TYPE = "multipart/form-data"
_MOST_PARTS = 100
"""Each becomes an object of a kilobyte or two, however little is in it."""


@dataclass(frozen=True)
class Form:
    """What each name was sent with, in the order in which it came."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a form. Raises BadRequest where `body` is none."""
    from email import policy
    from email.parser import BytesParser

    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != CONTENT_TYPE or "boundary" not in parameters.lower():
        raise BadRequest("content-type", f"{CONTENT_TYPE} with a boundary", kind.strip() or "nothing")
    if "\r" in content_type or "\n" in content_type or not content_type.isascii():
        raise BadRequest("content-type", "one line of ASCII", "something else")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parser = BytesParser(policy=policy.HTTP)
    boundary = parser.parsebytes(head, headersonly=True).get_boundary()
    if not boundary:
        raise BadRequest("content-type", f"{CONTENT_TYPE} with a boundary", "an empty one")
    if body.count(b"--" + boundary.encode()) > _MOST_PARTS + 1:
        raise BadRequest(None, f"a form of at most {_MOST_PARTS} parts", "more")
    if not body.rstrip().endswith(b"--" + boundary.encode() + b"--"):
        raise BadRequest(None, "a whole form", "one that is cut")
    form = Form()
    for part in parser.parsebytes(head + body).iter_parts():
        _add(form, part)
    return form


def _add(form: Form, part: MIMEPart) -> None:
    name = part.get_param("name", header="content-disposition")
    content = part.get_payload(decode=True)
    is_plain = isinstance(content, bytes) and part.get_content_maintype() not in ("multipart", "message")
    if not isinstance(name, str) or not isinstance(content, bytes) or not is_plain:
        raise BadRequest(None, "parts of a form, each with a name and one content", "another part")
    if part.get_filename() is not None or part.get_content_maintype() != "text":
        form.files.setdefault(name, []).append(content)
        return
    try:
        form.texts.setdefault(name, []).append(content.decode())
    except UnicodeDecodeError:
        raise BadRequest(name, "text in UTF-8", "other bytes") from None
