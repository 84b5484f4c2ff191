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
    """Seconds from process start to the first answer, and the handler's peak resident memory in MB."""

    seconds: float
    peak_mb: float


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
) -> FirstAnswer:
    """Start `module`.handler behind the emulator, ask once, stop it. RuntimeError unless it says 200."""
    ports = Ports(2)
    port, runtime_port = ports.numbers
    command = [
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
        peak_mb = _peak_mb(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0].decode(errors="replace")
        ports.release()
    answer = answers[0]
    if not isinstance(answer, dict) or answer.get("statusCode") != 200:
        raise RuntimeError(f"{module} did not answer: {str(answer)[:500]}\n{output[-2000:]}")
    return FirstAnswer(seconds, peak_mb)


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


def _peak_mb(root: int) -> float:
    """Largest VmHWM among the descendants of `root`: the handler's process."""
    children = {root}
    for status in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            pid, parent = int(status.parent.name), int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent in children:
            children.add(pid)
    peaks = [
        int(line.split()[1]) / 1024
        for pid in children - {root}
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]
    return max(peaks)
