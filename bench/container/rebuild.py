"""What an edited script costs: seconds of a build, layers and bytes that have to be pushed again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from local.docker import images
from local.docker.engine import ContainerEngine

from .setting import Setting


@dataclass(frozen=True)
class Rebuild:
    seconds: float
    layers: int
    bytes: int


def rebuild(setting: Setting, target: str) -> Rebuild:
    """Edit a script of the built tree and build again."""
    engine = setting.containers.engine
    before = _layers(engine, setting.containers.images[target])
    script = setting.tree / "inference/sentiment.py"
    script.write_text(f"{script.read_text()}\n# edited for {target}\n")
    began = time.perf_counter()
    name = images.build(
        engine, target, root=setting.tree, name="hf-lambda-bench:edited", log=setting.work / "edited"
    )
    seconds = time.perf_counter() - began
    changed = len(set(_layers(engine, name)) - set(before))
    sizes = engine.text("history", "--human=false", "--format", "{{.Size}}", name).splitlines()
    return Rebuild(seconds, changed, sum(int(size) for size in sizes[:changed]))


def _layers(engine: ContainerEngine, image: str) -> list[str]:
    found: list[str] = json.loads(
        engine.text("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    )
    return found
