"""Background processes of the local stack: started, found again and ended, never one that is not ours."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

STOP_S = 10
"""How long a process may take to end before it is killed."""


def start(command: Sequence[str], *, record: Path, log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `command` as leader of an own session and write down, in `record`, which process it is."""
    log.parent.mkdir(parents=True, exist_ok=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, start_new_session=True
        )
    remember(process.pid, record)
    return process


def remember(pid: int, record: Path) -> None:
    """Write `pid` and its start time: together they name one process; a pid alone is given out again."""
    record.write_text(json.dumps({"pid": pid, "started": started(pid)}))


def stop(record: Path) -> bool:
    """End the session that `record` names, first politely. Returns whether it ran; never ends another's."""
    if (named := _read(record)) is None:
        return False
    pid, since = named
    mine = started(pid) == since
    if mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait_gone(pid, STOP_S)
    if mine or started(pid) is None:  # else the number belongs to somebody else by now
        kill_session(pid)
    record.unlink(missing_ok=True)
    return mine


def kill_session(session: int) -> None:
    """Kill every process of a session, and return when all are gone.

    Its number is not given out again as long as one of its processes lives, so that only members are met.
    """
    while members := list(session_members(session)):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in members:
            _wait_gone(pid, STOP_S)


def session_members(session: int) -> Iterator[int]:
    """Pids of the processes of a session that are alive."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[3] == str(session) and fields[0] not in "ZX":
                    yield int(entry.name)


def started(pid: int) -> str | None:
    """When a process started, in the kernel's own words; None if there is none, or it has ended already."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(record: Path) -> tuple[int, str] | None:
    """Pid and start time; None where `record` is not there, is no record, or of a process that had ended."""
    try:
        entry = json.loads(record.read_text())
        return (int(entry["pid"]), entry["started"]) if entry["started"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _wait_gone(pid: int, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while started(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
