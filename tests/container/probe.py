"""Copied into the image as a script: tells what a function sees, and can be kept busy."""

import mmap
import os
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLE: dict[str, Any] = {}
kept: list[bytes] = []


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if "sleep" in event:
        sys.stderr.write("asleep\n")
        time.sleep(event["sleep"])
    if "keep_mb" in event:
        kept[:] = [os.urandom(event["keep_mb"] << 20)]
    if "map" in event:
        with Path(event["map"]).open("rb") as file:
            sum(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:: mmap.PAGESIZE])
    if "fill_mb" in event:
        path, size_mb = event["fill_mb"]
        with Path(path).open("wb") as file:
            for _ in range(size_mb):
                file.write(bytes(1 << 20))
    return {
        "filled": Path(event["fill_mb"][0]).stat().st_size if "fill_mb" in event else 0,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "home": os.environ.get("HOME"),
        "written": {path: _write(Path(path)) for path in event.get("write", [])},
        "network": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "shared_memory": Path("/dev/shm").exists(),
        "memory_limit": _memory_limit(),
        "tmp_bytes": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize,
        "capabilities": _status("CapEff"),
        "no_new_privileges": _status("NoNewPrivs"),
    }


def _write(path: Path) -> str:
    try:
        path.write_text("x")
    except OSError as error:
        return type(error).__name__
    return "written"


def _memory_limit() -> int:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(path).exists():
            return int(Path(path).read_text())
    raise FileNotFoundError("no memory controller is mounted")


def _status(key: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
