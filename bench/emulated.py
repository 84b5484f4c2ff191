"""One contender as a Lambda: AWS's runtime client behind the emulator, from start to the first answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_lambda.records import Json
from local.service.ports import Ports


@dataclass(frozen=True)
class FirstAnswer:
    """Seconds from process start to the first answer, and of the handler's process until then its peak
    resident memory in MB and the seconds that it had a CPU, in steps of 10 ms."""

    seconds: float
    peak_mb: float
    cpu_s: float


Around = Callable[[int, Callable[[], None]], None]
"""Gets the emulator's process id and the question to ask; the runtime starts with the first question."""


def directly(emulator: int, ask: Callable[[], None]) -> None:
    ask()


def first_answer(
    emulator: Path,
    python: Path,
    module: str,
    event: Mapping[str, Json],
    environment: Mapping[str, str],
    around: Around = directly,
    cpus: str | None = None,
) -> FirstAnswer:
    """Start `module`.handler behind the emulator, ask once, stop it. RuntimeError unless it says 200.

    cpus: those that it may run on, as taskset names them.
    """
    ports = Ports(2)
    port, runtime_port = ports.numbers
    command = [
        *(["taskset", "-c", cpus] if cpus else []),
        str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
        "--runtime-api-address", f"127.0.0.1:{runtime_port}",
        str(python), "-m", "awslambdaric", f"{module}.handler",
    ]  # fmt: skip
    answers: list[Json] = []
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=dict(environment),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        around(process.pid, lambda: answers.append(_ask(port, event, deadline=started + 300)))
        seconds = time.perf_counter() - started
        served = _descendants(process.pid)
        peak_mb, cpu_s = max(map(_peak_mb, served)), sum(map(_cpu_s, served))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0].decode(errors="replace")
        ports.release()
    answer = answers[0]
    if not isinstance(answer, dict) or answer.get("statusCode") != 200:
        raise RuntimeError(f"{module} did not answer: {str(answer)[:500]}\n{output[-2000:]}")
    return FirstAnswer(seconds, peak_mb, cpu_s)


def _ask(port: int, event: Mapping[str, Json], *, deadline: float) -> Json:
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
            return json.loads(connection.getresponse().read())
        except ConnectionRefusedError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.001)
        finally:
            connection.close()


def _descendants(root: int) -> list[int]:
    """Processes below `root`: the handler's."""
    children = {root}
    for status in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            pid, parent = int(status.parent.name), int(_stat(status)[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent in children:
            children.add(pid)
    return sorted(children - {root})


def _stat(path: Path) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on, the state: the name before them may hold spaces."""
    return path.read_text().rpartition(")")[2].split()


def _peak_mb(pid: int) -> float:
    """Largest resident memory: VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _cpu_s(pid: int) -> float:
    """utime and stime, the 14th and 15th field."""
    user, system = _stat(Path(f"/proc/{pid}/stat"))[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
