"""Forms with files, as clients send them and as they should not."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import pytest

from hf_lambda.errors import BadRequest
from hf_lambda.forms import Form, read_form

KIND = "multipart/form-data; boundary=xYzZY"


def part(name: str, content: bytes, *, filename: str | None = None, kind: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return b"--xYzZY\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def test_texts_and_files_come_as_they_were_sent():
    sound = b"RIFF\r\n\n\r--xYzZ\x00\xff" + os.urandom(5000) + b"\r\n"
    body = part("file", sound, filename="a.wav", kind="audio/wav") + part("prompt", "naïve 😀".encode())
    body += part("kind[]", b"word") + part("kind[]", b"segment") + part("empty", b"", filename="")
    form = read_form(KIND, body + b"--xYzZY--\r\n")
    assert form.files == {"file": [sound], "empty": [b""]}
    assert form.texts == {"prompt": ["naïve 😀"], "kind[]": ["word", "segment"]}


@pytest.mark.parametrize("boundary", ['"a b:c"', "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
def test_boundaries_are_written_in_every_way(boundary):
    plain = boundary.strip('"')
    body = f'--{plain}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--{plain}--'.encode()
    assert read_form(f"Multipart/Form-Data; boundary={boundary}; charset=utf-8", body) == Form({"a": ["b"]})


def test_lines_end_as_they_like_and_something_may_stand_around_a_form():
    body = part("a", b"b") + part("file", b"\r\n\n", filename="Gr\u00fc\u00dfe;.wav") + b"--xYzZY--"
    expected = Form({"a": ["b"]}, {"file": [b"\r\n\n"]})
    assert read_form(KIND, b"before\r\n" + body + b"\r\nafter") == expected
    assert read_form(KIND, part("a", b"b").replace(b"\r\n", b"\n") + b"--xYzZY-- \n") == Form({"a": ["b"]})


def test_a_file_of_line_feeds_and_headers_without_end_cost_no_more_than_others():
    count = 0

    def trace(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    feeds = b"\n" * 1_000_000
    sys.setprofile(trace)
    try:
        form = read_form(KIND, part("file", feeds, filename="a") + b"--xYzZY--")
    finally:
        sys.setprofile(None)
    assert form.files == {"file": [feeds]}
    assert count < 5_000
    for head in ("(" * 1000, ";" * 10_000, "; ".join(f"name*{place}=a" for place in range(900))):
        body = b"--xYzZY\r\nContent-Disposition: form-data; x; " + head.encode() + b"\r\n\r\nb\r\n--xYzZY--"
        with suppress(BadRequest):
            read_form(KIND, body)
    with pytest.raises(BadRequest, match="bytes of headers"):
        read_form(KIND, part("a", b"b", filename="a" * 20_000) + b"--xYzZY--")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "binary", "8bit"])
def test_what_older_clients_encode_is_decoded(encoding):
    content = {"base64": b"YWI9", "quoted-printable": b"ab=3D"}.get(encoding, b"ab=")
    head = f'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    assert read_form(KIND, b"--xYzZY\r\n" + head.encode() + content + b"\r\n--xYzZY--") == Form(
        {"a": ["ab="]}
    )


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("multipart/mixed; boundary=a", b"--a--", "multipart/form-data with a boundary"),
        ("multipart/form-data", b"", "a boundary"),
        ('multipart/form-data; boundary=""', b"----", "a boundary"),
        ("multipart/form-data; boundary=a\r\nx: y", b"--a--", "one line of ASCII"),
        (KIND, part("a", b"b"), "a whole form"),
        (KIND, b"", "a whole form"),
        (KIND, part("a", b"b")[:-9], "a whole form"),
        (KIND, part("a", b"\xff") + b"--xYzZY--", "text in UTF-8"),
        (KIND, b"--xYzZY\r\n\r\nno name\r\n--xYzZY--", "each with a name"),
        (KIND, part("a", b"--q--", kind="multipart/mixed; boundary=q") + b"--xYzZY--", "each with a name"),
        (KIND, part("a", b"x: y\r\n\r\nz", kind="message/rfc822") + b"--xYzZY--", "each with a name"),
        (KIND, part("a", b"b") * 200 + b"--xYzZY--", "at most 100 parts"),
    ],
)
def test_what_is_no_form_is_refused(kind, body, expected):
    with pytest.raises(BadRequest, match=expected):
        read_form(kind, body)
