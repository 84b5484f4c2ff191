"""One image: its layers, and what its function touches until it has answered for the first time."""

from __future__ import annotations

import json
import re
import statistics
import time
from dataclasses import dataclass

from local.docker.engine import ContainerEngine
from local.service.container import Container

from .setting import Setting
from .trace import Touched, emulator_of, trace

EVENT = json.dumps({"text": "I love this! It works wonderfully."}).encode()
RUNS = 5


@dataclass(frozen=True)
class Measured:
    layers: list[tuple[str, int]]
    """What each layer holds, and its bytes; the base image's are one."""
    files_opened: int
    bytes_read: int
    bytes_mapped: int
    first_answer_s: float
    python: str

    @property
    def installed(self) -> int:
        """Bytes of everything above the base image."""
        return sum(size for name, size in self.layers if name != "base image")


def measure_all(setting: Setting, ways: list[str]) -> dict[str, Measured]:
    """Layers, files, bytes and seconds of each way of serving; seconds in turn, so that load is shared."""
    touched = {way: _trace(setting, way) for way in ways}
    rounds = [{way: _first_answer_s(setting, way) for way in ways} for _ in range(RUNS)]
    return {
        way: Measured(
            layers(setting.containers.engine, setting.containers.images[way]),
            len(touched[way].opened),
            touched[way].read_bytes,
            touched[way].mapped_bytes,
            statistics.median(seconds[way] for seconds in rounds),
            _python(setting, way),
        )
        for way in ways
    }


def layers(engine: ContainerEngine, image: str) -> list[tuple[str, int]]:
    """Name and bytes of every layer that is not empty, the base image's as one."""
    printed = engine.text(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image
    )
    found: list[tuple[str, int]] = []
    base = 0
    for line in printed.splitlines():
        size, _, made_by = line.partition("\t")
        if "buildkit" not in made_by:
            base += int(size)
        elif int(size):
            found.append((_title(made_by), int(size)))
    return [("base image", base), *reversed(found)]


def _title(made_by: str) -> str:
    if "compileall" in made_by:
        return "standard library, compiled"
    copied = re.match(r"COPY (\S+)", made_by)
    return f"`{copied[1]}`" if copied else "`pip install`"


def _python(setting: Setting, way: str) -> str:
    image = setting.containers.images[way]
    printed = setting.containers.engine.text("run", "--rm", "--entrypoint", "python", image, "--version")
    return printed.removeprefix("Python ")


def _trace(setting: Setting, way: str) -> Touched:
    container = setting.containers.start(setting.function(way))
    try:
        process = int(setting.containers.engine.text("inspect", "--format", "{{.State.Pid}}", container.name))
        return trace(emulator_of(process), lambda: _ask(container), setting.work / f"{way}.strace")
    finally:
        container.stop()


def _first_answer_s(setting: Setting, way: str) -> float:
    container = setting.containers.start(setting.function(way))
    try:
        began = time.perf_counter()
        _ask(container)
        return time.perf_counter() - began
    finally:
        container.stop()


def _ask(container: Container) -> None:
    answer = container.invoke(EVENT)
    body = json.loads(answer.payload)
    if answer.error or body.get("statusCode") != 200 or body["body"]["label"] != "POSITIVE":
        raise RuntimeError(f"{container.name} answered {answer.payload.decode()}\n{answer.log}")
