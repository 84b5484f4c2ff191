"""`python -m local.bucket`: an S3 on loopback with the buckets of a stack, until SIGTERM.

It is moto's, which keeps what is larger than some megabytes on disk, in `folder`.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import boto3

from hf_lambda.atomic import replace_text


def main(arguments: list[str] | None = None) -> int:
    """Write the port to --port-file once the buckets are there, and serve."""
    options = _parser().parse_args(arguments)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    tempfile.tempdir = str(options.folder)
    # moto takes any; boto3 does not ask without.
    keys = {"ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local", "DEFAULT_REGION": "us-east-1"}
    os.environ |= {f"AWS_{key}": value for key, value in keys.items()}
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=options.port, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
    for name in options.name:
        s3.create_bucket(Bucket=name)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    replace_text(options.port_file, str(port))
    ended.wait()
    server.stop()
    shutil.rmtree(options.folder, ignore_errors=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.bucket", description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--name", required=True, action="append", help="of a bucket")
    parser.add_argument("--folder", type=Path, required=True, help="emptied first, and at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
