"""An S3 on loopback: moto's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@contextmanager
def serve_s3() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def variables(url: str) -> dict[str, str]:
    """With which boto3 asks the S3 at `url`."""
    keys = {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing", "DEFAULT_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL_S3": url, **{f"AWS_{name}": value for name, value in keys.items()}}


@contextmanager
def own_bucket(name: str) -> Iterator[S3Client]:
    """A bucket that is emptied at the end; of the S3 that the environment names."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    yield client
    for key in keys_of(client, name):
        client.delete_object(Bucket=name, Key=key)


def keys_of(client: S3Client, bucket: str) -> set[str]:
    return {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])}
