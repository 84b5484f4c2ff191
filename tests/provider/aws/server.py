"""Starts the emulated AWS as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@contextlib.contextmanager
def emulated_aws(log: Path, *options: str) -> Iterator[str]:
    """The address of an AWS in which nothing is yet; what goes wrong in it is written to `log`."""
    command = [sys.executable, "-m", "tests.provider.aws", *options]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **KEYS}, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as server,
    ):
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            if not address:
                raise RuntimeError(f"the emulated AWS did not start:\n{log.read_text()}")
            yield address
        finally:
            server.terminate()
