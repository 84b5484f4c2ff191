"""What a function opens, reads and maps of its image from the start of its runtime to its first answer."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ATTACH_LIMIT_S = 10
_CALLS = "open,openat,read,pread64,readv,preadv,mmap"
_OPENED = re.compile(r"\bopen(?:at)?\(.*?(?P<flags>O_\w+(?:\|O_\w+)*).* = \d+<(?P<path>/[^>]*)>")
_READ = re.compile(r"\b(?:read|pread64|readv|preadv)\(\d+<(?P<path>/[^>]*)>.* = (?P<bytes>\d+)$")
_MAPPED = re.compile(r"\bmmap\(\S+, (?P<bytes>\d+), \w.*, \d+<(?P<path>/[^>]*)>, (?:0x)?[0-9a-f]+\) = 0x")
_ELSEWHERE = ("/proc/", "/sys/", "/dev/", "/tmp/", "/mnt/", "/usr/local/bin/aws-lambda-rie", "/etc/")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")


@dataclass
class Touched:
    """Files of the image, with bytes read from them and the largest stretch that was mapped."""

    opened: set[str] = field(default_factory=set)
    read: dict[str, int] = field(default_factory=dict)
    mapped: dict[str, int] = field(default_factory=dict)

    @property
    def read_bytes(self) -> int:
        return sum(self.read.values())

    @property
    def mapped_bytes(self) -> int:
        return sum(self.mapped.values())


def parse(lines: Iterable[str], within: Path | None = None) -> Touched:
    """Out of what `strace -f -y` wrote. The image: all that lies below `within`, else a container's files."""
    touched = Touched()
    for line in _whole(lines):
        if (
            (match := _OPENED.search(line))
            and "O_DIRECTORY" not in match["flags"]
            and _in_image(match["path"], within)
        ):
            touched.opened.add(match["path"])
        elif (match := _READ.search(line)) and _in_image(match["path"], within):
            touched.read[match["path"]] = touched.read.get(match["path"], 0) + int(match["bytes"])
        elif (match := _MAPPED.search(line)) and _in_image(match["path"], within):
            mapped = touched.mapped.get(match["path"], 0)
            touched.mapped[match["path"]] = max(mapped, int(match["bytes"]))
    return touched


def trace(process: int, act: Callable[[], None], log: Path, within: Path | None = None) -> Touched:
    """Trace `process` and what it starts while `act` runs. Needs strace and the right to trace."""
    with _attached(process, log):
        act()
    return parse(log.read_text(errors="replace").splitlines(), within)


def emulator_of(container: int) -> int:
    """The emulator below a container's first process; the runtime starts with its first request."""
    children = Path(f"/proc/{container}/task/{container}/children").read_text().split()
    return int(children[0])


@contextmanager
def _attached(process: int, log: Path) -> Iterator[None]:
    program = shutil.which("strace")
    if program is None:
        raise FileNotFoundError("strace is missing: apt-get install strace")
    command = [program, "-f", "-y", "-s", "0", "-e", f"trace={_CALLS}", "-o", str(log), "-p", str(process)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_until_traced(process, tracer.pid)
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def _wait_until_traced(process: int, tracer: int) -> None:
    """Every thread has to be: whichever starts the runtime hands the tracing on."""
    deadline = time.monotonic() + ATTACH_LIMIT_S
    while time.monotonic() < deadline:
        statuses = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/status")]
        if all(f"TracerPid:\t{tracer}\n" in status for status in statuses):
            return
        time.sleep(0.01)
    raise TimeoutError(f"strace did not attach to {process} within {ATTACH_LIMIT_S} s; it may need root")


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Calls that another thread's line cut in two are put together again."""
    begun: dict[str, str] = {}
    for line in lines:
        if match := _UNFINISHED.match(line):
            begun[match[1]] = match[2]
        elif match := _RESUMED.match(line):
            yield f"{match[1]} {begun.pop(match[1], '')}{match[2]}"
        else:
            yield line


def _in_image(path: str, within: Path | None) -> bool:
    return Path(path).is_relative_to(within) if within else not path.startswith(_ELSEWHERE)
