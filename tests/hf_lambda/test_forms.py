"""Forms with files, as clients send them and as they should not."""

from __future__ import annotations

import os

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
