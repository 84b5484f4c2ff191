"""The measurements of one contender; `Bench` holds where everything lies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import Contender
from bench.emulated import FirstAnswer, first_answer
from bench.slowfs import Count, mounted, read_count
from bench.workloads import Workload

REPOSITORY = Path(__file__).parents[1]
IMAGE_LATENCY_S = 0.001
CACHE_LATENCY_S = 0.002
TWO_VCPU_MB = "3538"


@dataclass(frozen=True)
class Bench:
    """Folders of a run: virtual environment, extra packages, our scripts, model cache, converted models."""

    venv: Path
    site: Path
    generated: Path
    cache: Path
    rivals: Path
    mounts: Path
    emulator: Path

    def first(self, contender: Contender, workload: Workload) -> FirstAnswer:
        """From a local disk."""
        event = next(iter(workload.events.values()))
        return first_answer(
            self.emulator, self._python(self.venv), contender.module, event, self._environment(contender)
        )

    def first_through_views(
        self, contender: Contender, workload: Workload, *, slow: bool
    ) -> tuple[FirstAnswer, Count, Count]:
        """Image and cache behind counting views, slow ones or not: the answer, then what each was asked."""
        with ExitStack() as stack:

            def view(source: Path, latency_s: float) -> Path:
                at = self.mounts / source.name
                return stack.enter_context(
                    mounted(source, at, latency_s=latency_s if slow else 0.0, site=self.site)
                )

            image = {
                path: view(path, IMAGE_LATENCY_S)
                for path in (self.venv, *((self.site,) if contender.needs_site else ()))
            }
            models = {
                path: view(path, CACHE_LATENCY_S)
                for path in (self.rivals if contender.needs_site else self.cache,)
            }
            environment = self._environment(contender, {**image, **models})
            event = next(iter(workload.events.values()))
            answer = first_answer(
                self.emulator, self._python(image[self.venv]), contender.module, event, environment
            )
            return (
                answer,
                _sum(read_count(at) for at in image.values()),
                _sum(read_count(at) for at in models.values()),
            )

    def warm(
        self, contender: Contender, workload: Workload, repeats: int, *, cpus: str | None = None
    ) -> dict[str, list[float]]:
        """Seconds of each warm call per event, in a process of its own, on the CPUs named."""
        events = workload.events if cpus is None else dict([next(iter(workload.events.items()))])
        path = self.generated / f"{contender.module}.events.json"
        path.write_text(json.dumps(events))
        command = [
            str(self._python(self.venv)),
            "-m",
            "bench.warm",
            contender.module,
            str(path),
            str(repeats),
        ]
        if cpus is not None:
            command = ["taskset", "-c", cpus, *command]
        memory = TWO_VCPU_MB if cpus is None else "1769"
        environment = {**self._environment(contender), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{contender.module}: {(done.stderr or done.stdout)[-2000:]}")
        seconds: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
        return seconds

    def _python(self, venv: Path) -> Path:
        return venv / "bin" / Path(sys.executable).name

    def _environment(self, contender: Contender, moved: Mapping[Path, Path] | None = None) -> dict[str, str]:
        """As the program sets it on a function; `moved` maps folders to their views."""
        moved = moved or {}
        cache, rivals, site = (moved.get(path, path) for path in (self.cache, self.rivals, self.site))
        path = [
            contender.folder,
            REPOSITORY / "inference",
            REPOSITORY,
            *((site,) if contender.needs_site else ()),
        ]
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(str(entry) for entry in path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/nonexistent",
            "MODEL_CACHE": str(cache),
            "HF_HUB_CACHE": str(cache / "hub"),
            "HF_HOME": "/tmp/hf",
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "AWS_LAMBDA_FUNCTION_NAME": contender.module,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": TWO_VCPU_MB,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "600",
            "LAMBDA_TASK_ROOT": str(contender.folder),
            "BENCH_MINILM": str(rivals / "minilm"),
            "BENCH_OPENVINO": str(rivals / "openvino"),
            "BENCH_CT2_DISTILBERT": str(rivals / "ct2-distilbert"),
            "BENCH_CT2_BART": str(rivals / "ct2-bart"),
        }


def _sum(counts: Any) -> Count:
    counts = list(counts)
    return Count(sum(count.files for count in counts), sum(count.bytes for count in counts))
