"""What S3 refuses, on both sides of the bucket: each is named with the bucket, the key and what to do."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from tests.warmup.s3 import serve_s3
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.worker.bucket import Bucket
from warmup.worker.source import RemoteFile

NEVER = threading.Event()
CONTENT = bytes(range(256)) * 4
FILE = RemoteFile("model.safetensors", len(CONTENT), "a" * 40, hashlib.sha256(CONTENT).hexdigest())
KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}


@contextmanager
def refusing(status: int, code: str) -> Iterator[Bucket]:
    """A bucket all of whose requests are answered with `code`."""

    class Handler(BaseHTTPRequestHandler):
        # Says "100 Continue", which a client that sends a file waits a second for.
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    once = Config(retries={"total_max_attempts": 1})
    url = f"http://127.0.0.1:{server.server_port}"
    client: Any = boto3.client("s3", endpoint_url=url, config=once, **KEYS)  # type: ignore[call-overload]
    try:
        yield Bucket("staging", client)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FAULTS = {
    "AccessDenied": (403, "may not"),
    "NoSuchBucket": (404, "pulumi up makes it again"),
    "SlowDown": (503, "slow down"),
    "AuthorizationHeaderMalformed": (400, "another region"),
    "InternalError": (500, "InternalError"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_every_refusal_is_named_with_the_bucket_the_key_and_what_to_do(tmp_path: Path, code: str) -> None:
    status, said = FAULTS[code]
    (tmp_path / "file").write_bytes(CONTENT)
    with refusing(status, code) as bucket:
        asked = {
            "jobs/r-1.json": lambda: bucket.read("jobs/r-1.json"),
            "trees/x": lambda: bucket.write("trees/x", b"[]"),
            "blobs/": lambda: bucket.upload(tmp_path / "file", "org/tiny", FILE, lambda count: None, NEVER),
            FILE.blob: lambda: bucket.copy("org/tiny", FILE, tmp_path / "into", lambda count: None, NEVER),
            "jobs/": lambda: bucket.keys("jobs/"),
            "refs/x": lambda: bucket.delete(["refs/x"]),
        }
        for key, ask in asked.items():
            with pytest.raises(WarmupError) as raised:
                ask()
            assert raised.value.kind is ErrorKind.STAGING
            assert "s3://staging/" in str(raised.value) and key in str(raised.value)
            assert said in str(raised.value)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with serve_s3() as url:
        client: Any = boto3.client("s3", endpoint_url=url, **KEYS)  # type: ignore[call-overload]
        client.create_bucket(Bucket="staging")
        yield client


def test_a_large_file_goes_up_in_parts_that_s3_compares_and_is_known_again_by_that(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 << 20  # the least that S3 takes
    monkeypatch.setattr("warmup.worker.bucket.PART_BYTES", part)
    parts = TransferConfig(multipart_threshold=part, multipart_chunksize=part)
    monkeypatch.setattr("warmup.worker.bucket._PARTS", parts)
    content = CONTENT * (2 * part // len(CONTENT)) + b"and more"
    file = RemoteFile("m", len(content), "b" * 40, hashlib.sha256(content).hexdigest())
    (tmp_path / "file").write_bytes(content)
    bucket, sent = Bucket("staging", s3), list[int]()
    assert not bucket.holds("org/tiny", file)
    bucket.upload(tmp_path / "file", "org/tiny", file, sent.append, NEVER)
    assert sum(sent) == len(content) and bucket.holds("org/tiny", file)
    key = f"models--org--tiny/blobs/{file.blob}"
    assert s3.head_object(Bucket="staging", Key=key)["ETag"].endswith('-3"')
    assert bucket.copy("org/tiny", file, tmp_path / "into", lambda count: None, NEVER)
    assert (tmp_path / "into").read_bytes() == content
    # The same size, and even our mark, without what S3 compared it with.
    s3.put_object(Bucket="staging", Key=key, Body=content[::-1], Metadata={"blob": file.blob})
    assert not bucket.holds("org/tiny", file)


def test_an_object_of_one_part_counts_by_its_sha256_alone(s3: Any, tmp_path: Path) -> None:
    bucket, key = Bucket("staging", s3), f"models--org--tiny/blobs/{FILE.blob}"
    (tmp_path / "file").write_bytes(CONTENT)
    bucket.upload(tmp_path / "file", "org/tiny", FILE, lambda count: None, NEVER)
    assert bucket.holds("org/tiny", FILE)
    mark = {"Metadata": {"blob": FILE.blob}, "ChecksumAlgorithm": "SHA256"}
    s3.put_object(Bucket="staging", Key=key, Body=CONTENT[::-1], **mark)
    assert not bucket.holds("org/tiny", FILE)
