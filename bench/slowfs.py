"""A read-only view of a folder over FUSE that counts what is read and can make every request slow.

It stands in for two things that a Lambda reads over a network: the image, which is loaded lazily block by
block, and EFS. Page faults of mapped files pass through it like other reads: its count is the honest one.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_lambda.records import Json

if TYPE_CHECKING:
    from mfusepy import Operations

BLOCK_BYTES = 128 * 1024
"""Opening a file costs one latency, reading one per block: names are cheap where directories are cached."""


@dataclass(frozen=True)
class Count:
    """What went through a mounted view: distinct files opened, and bytes read."""

    files: int
    bytes: int


@contextmanager
def mounted(source: Path, at: Path, *, latency_s: float, site: Path) -> Iterator[Path]:
    """Mount `source` read-only at `at` for the block; each request waits `latency_s` seconds.

    `site` is the folder that holds mfusepy. The count is in `read_count(at)` until the end of the block.
    Raises RuntimeError where FUSE cannot mount here.
    """
    at.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.slowfs", str(source), str(at), str(latency_s)]
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}{os.pathsep}{site}"}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        while not os.path.ismount(at):
            if server.poll() is not None:
                raise RuntimeError(
                    f"cannot mount {at}: {(server.stderr.read() if server.stderr else '').strip()}"
                )
            time.sleep(0.01)
        yield at
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False, capture_output=True)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()


def read_count(at: Path) -> Count:
    """What went through the view mounted at `at` so far."""
    return Count(**json.loads((at / _COUNT_NAME).read_text()))


_COUNT_NAME = ".count"


def _serve(source: str, at: str, latency_s: float) -> None:
    import mfusepy

    mfusepy.FUSE(
        _view(source, latency_s),
        at,
        foreground=True,
        ro=True,
        max_threads=32,
        # As NFS and a block device do: names and pages stay cached while the file is the same.
        auto_cache=True,
        **dict.fromkeys(("attr_timeout", "entry_timeout", "negative_timeout"), 3600),
    )


def _view(source: str, latency_s: float) -> Operations:
    """The file system's operations, as mfusepy wants them."""
    import mfusepy

    seen: set[str] = set()
    lock = threading.Lock()
    total = [0]

    def wait(requests: int = 1) -> None:
        if latency_s:
            time.sleep(latency_s * requests)

    def counted() -> bytes:
        return json.dumps({"files": len(seen), "bytes": total[0]}).encode().ljust(64)

    class View(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Json]:
            if path == f"/{_COUNT_NAME}":
                return {"st_mode": 0o100444, "st_size": 64, "st_nlink": 1}
            try:
                status = os.lstat(source + path)
            except OSError as problem:
                raise mfusepy.FuseOSError(problem.errno or errno.EIO) from None
            times = {f"st_{name}": getattr(status, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}
            return times | {
                name: getattr(status, name)
                for name in ("st_mode", "st_size", "st_nlink", "st_uid", "st_gid", "st_ino")
            }

        def readlink(self, path: str) -> str:
            return str(Path(source + path).readlink())

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *(entry.name for entry in Path(source + path).iterdir())]

        def open(self, path: str, flags: int) -> int:
            if path == f"/{_COUNT_NAME}":
                return 0
            wait()
            with lock:
                seen.add(path)
            return os.open(source + path, os.O_RDONLY)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            if path == f"/{_COUNT_NAME}":
                return counted()[offset : offset + size]
            wait(-(-size // BLOCK_BYTES))
            data = os.pread(fh, size, offset)
            with lock:
                total[0] += len(data)
            return data

        def release(self, path: str, fh: int) -> int:
            if path != f"/{_COUNT_NAME}":
                os.close(fh)
            return 0

    return View()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))
