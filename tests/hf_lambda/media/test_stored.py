"""Files of requests that lie in S3: what is read of the bucket that a stack allows, and what is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hf_lambda import Audio, Image, endpoint
from hf_lambda.media.encoded import one_request
from hf_lambda.media.stored import INPUT_BUCKET, read
from tests.media_support import encoded, picture, sound, tones
from tests.warmup.s3 import serve_s3

PNG, WAV = encoded(picture()), sound(tones(0.1))
OBJECTS = {
    "photos/a.png": PNG,
    "photos/ü b+c.wav": WAV,
    "photos/empty": b"",
    "photos/large": bytes(3 << 20),
    "photos2/a.png": PNG,
    "private.png": PNG,
}


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with serve_s3() as url:
        keys: dict[str, Any] = {
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "region_name": "us-east-1",
        }
        client = boto3.client("s3", endpoint_url=url, **keys)
        for bucket in ("inputs", "another"):
            client.create_bucket(Bucket=bucket)
            for key, data in OBJECTS.items():
                client.put_object(Bucket=bucket, Key=key, Body=data)
        yield url


@pytest.fixture
def stack(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint with `inputBucket: inputs/photos`."""
    given = {"URL": "", "ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local", "REGION": "us-east-1"}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    monkeypatch.setenv(INPUT_BUCKET, "inputs/photos/")


@endpoint
def look(image: Image | list[Image]) -> object:
    return [each.width for each in (image if isinstance(image, list) else [image])]


@endpoint
def listen(audio: Audio) -> object:
    return audio.rate


@endpoint
def count(data: list[bytes]) -> object:
    return sum(map(len, data))


def asked(handler: Any, **event: Any) -> tuple[int, Any]:
    answer = handler(event)
    return answer["statusCode"], answer["body"]


@pytest.mark.usefixtures("stack")
def test_an_object_is_what_its_content_would_be() -> None:
    width = asked(look, image="s3://inputs/photos/a.png")
    assert width == (200, [picture().width])
    assert asked(look, image=["s3://inputs/photos/a.png"] * 2) == (200, [picture().width] * 2)
    assert asked(look, inputs="s3://inputs/photos/a.png") == width
    assert asked(listen, audio="s3://inputs/photos/ü b+c.wav")[0] == 200
    assert asked(count, data=["s3://inputs/photos/large"]) == (200, 3 << 20)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "address",
    [
        "s3://another/photos/a.png",
        "s3://inputs/private.png",
        "s3://inputs/photos2/a.png",
        "s3://inputs/photos/../private.png",
        "s3://inputs/photos/./a.png",
        "s3://inputs//photos/a.png",
        "s3://inputs/photos/",
        "s3://inputs",
        "s3://",
        "s3://inputs.evil.example/photos/a.png",
    ],
)
def test_what_is_not_below_the_folder_is_refused(address: str) -> None:
    status, body = asked(look, image=address)
    assert status == 400
    assert body["error"]["given"] == "an s3:// address outside of this stack's inputBucket"
    assert body["error"]["field"] == "image"


@pytest.mark.parametrize("handler", [look, listen, count])
def test_without_the_setting_none_is_read(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INPUT_BUCKET, raising=False)
    field = {look: "image", listen: "audio", count: "data"}[handler]
    address = "s3://inputs/photos/a.png"
    status, body = asked(handler, **{field: [address] if handler is count else address})
    assert (status, "this stack reads none (config inputBucket)" in body["error"]["message"]) == (400, True)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("s3://inputs/photos/nothing.png", "there is no such object in S3, or this endpoint may not read it"),
        ("s3://inputs/photos/empty", "the object in S3 is empty"),
        ("s3://inputs/photos/ü b+c.wav", "expected an image"),
    ],
)
def test_an_object_that_cannot_be_taken_is_named_with_its_field(address: str, reason: str) -> None:
    status, body = asked(look, image=["s3://inputs/photos/a.png", address])
    assert (status, body["error"]["field"]) == (422, "image[1]")
    assert reason in body["error"]["message"]


@pytest.mark.usefixtures("stack")
def test_many_objects_are_no_way_around_the_bound_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "12")  # a third of it for files
    assert asked(count, data=["s3://inputs/photos/large"])[0] == 200
    status, body = asked(count, data=["s3://inputs/photos/large"] * 2)
    assert (status, body["error"]["field"]) == (422, "data[1]")
    assert "an object of 3.0 MB in S3; this function's memory allows 1.0 MB more" in body["error"]["message"]


@pytest.mark.usefixtures("stack")
@pytest.mark.timeout(30)
def test_an_object_that_is_too_large_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """This S3 never sends the content: whoever waited for it would wait for ever."""
    with _answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n") as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        status, body = asked(look, image="s3://inputs/photos/a.png")
    assert (status, len(requests)) == (422, 1)
    assert "an object of 95367.4 MB" in body["error"]["message"]


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("reply", "status", "tries"),
    [
        (b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n", 503, 2),
        (b"", 503, 2),
        (b"no HTTP\r\n\r\n", 503, 2),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", 503, 2),
        (b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 422, 1),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 422, 1),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 422, 1),
    ],
    ids=["busy", "hangs up", "no HTTP", "cut off", "elsewhere", "forbidden", "of no size"],
)
def test_trouble_of_s3_is_tried_once_more_and_then_said(
    reply: bytes, status: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _answering(reply) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        found, body = asked(look, image="s3://inputs/photos/a.png")
    assert (found, len(requests)) == (status, tries), body
    assert "127.0.0.1" not in str(body)


def test_a_bucket_is_asked_at_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        seen.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    for region, bucket in (("eu-west-1", "inputs"), ("eu-west-1", "in.puts"), ("cn-north-1", "inputs")):
        with pytest.raises(Exception, match=r"S3 was not reached \(ConnectionRefusedError\)"), one_request():
            read(f"s3://{bucket}/a", {**keys, INPUT_BUCKET: bucket, "AWS_REGION": region})
    assert seen[::2] == [
        "inputs.s3.eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "inputs.s3.cn-north-1.amazonaws.com.cn",
    ]


class _answering:  # noqa: N801
    """A server that says the same to everybody, and keeps the connection open where it promised more."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._requests: list[bytes] = []
        self._kept: list[socket.socket] = []

    def __enter__(self) -> tuple[str, list[bytes]]:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.getsockname()[1]}", self._requests

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
                self._requests.append(connection.recv(65536))
                connection.sendall(self._reply)
            except OSError:
                return
            if b"99999999999" in self._reply:
                self._kept.append(connection)
            else:
                connection.close()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        for connection in self._kept:
            connection.close()
