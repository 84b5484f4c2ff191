"""The measurements of one contender; `Bench` holds where everything lies."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.container.trace import trace
from bench.contenders import Contender
from bench.emulated import Around, FirstAnswer, directly, first_answer
from bench.environments import Environment
from bench.slowfs import Count, mounted, read_count
from bench.workloads import Workload

REPOSITORY = Path(__file__).parents[1]
IMAGE_LATENCY_S = 0.001
CACHE_LATENCY_S = 0.002
ONE_VCPU_MB, TWO_VCPU_MB = "1769", "3538"


@dataclass(frozen=True)
class Bench:
    """Where things of a run lie: environments by name, mfusepy, our scripts, the cache, converted models."""

    environments: dict[str, Environment]
    site: Path
    generated: Path
    cache: Path
    rivals: Path
    mounts: Path
    emulator: Path

    def first(self, contender: Contender, workload: Workload, *, cpus: str | None = None) -> FirstAnswer:
        """From a local disk, on the CPUs named."""
        python = self.environments[contender.environment].python
        return self._first(contender, workload, python, self._variables(contender, cpus=cpus), cpus=cpus)

    def first_through_views(
        self, contender: Contender, workload: Workload, *, slow: bool
    ) -> tuple[FirstAnswer, Count, Count]:
        """Image and models behind counting views, slow ones or not: the answer, then what each was asked."""
        image = self.environments[contender.environment]
        models = self.rivals if contender.is_converted else self.cache
        with ExitStack() as stack:

            def view(source: Path, latency_s: float) -> Path:
                at = self.mounts / source.name
                return stack.enter_context(
                    mounted(source, at, latency_s=latency_s if slow else 0.0, site=self.site)
                )

            image_at = view(image.folder, IMAGE_LATENCY_S)
            models_at = view(models, CACHE_LATENCY_S)
            variables = self._variables(contender, {models: models_at})
            answer = self._first(contender, workload, replace(image, folder=image_at).python, variables)
            return answer, read_count(image_at), read_count(models_at)

    def read_by_calls(self, contender: Contender, workload: Workload) -> int:
        """Bytes of the image that read calls got until the first answer; page faults are no calls."""
        image = self.environments[contender.environment]
        log = self.generated / "strace"
        touched = []

        def traced(emulator: int, ask: Callable[[], None]) -> None:
            touched.append(trace(emulator, ask, log, within=image.folder.resolve()))

        self._first(contender, workload, image.python, self._variables(contender), around=traced)
        if not touched[0].read_bytes:
            raise RuntimeError(f"strace saw nothing read below {image.folder}")
        return touched[0].read_bytes

    def warm(
        self, contender: Contender, workload: Workload, repeats: int, *, cpus: str | None = None
    ) -> dict[str, list[float]]:
        """Seconds of each warm call per event, in a process of its own, on the CPUs named."""
        every = cpus is None or workload.task == "text-generation"
        events = workload.events if every else dict([next(iter(workload.events.items()))])
        path = self.generated / f"{contender.module}.events.json"
        path.write_text(json.dumps(events))
        command = [
            str(self.environments[contender.environment].python),
            "-m",
            "bench.warm",
            contender.module,
            str(path),
            str(repeats),
        ]
        if cpus is not None:
            command = ["taskset", "-c", cpus, *command]
        environment = self._variables(contender, cpus=cpus)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{contender.module}: {(done.stderr or done.stdout)[-2000:]}")
        seconds: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
        return seconds

    def _first(
        self,
        contender: Contender,
        workload: Workload,
        python: Path,
        variables: dict[str, str],
        around: Around = directly,
        cpus: str | None = None,
    ) -> FirstAnswer:
        event = next(iter(workload.events.values()))
        return first_answer(self.emulator, python, contender.module, event, variables, around, cpus)

    def _variables(
        self,
        contender: Contender,
        moved: Mapping[Path, Path] | None = None,
        *,
        cpus: str | None = None,
    ) -> dict[str, str]:
        """As the program sets them on a function, of one vCPU where `cpus` names one of them.

        moved: folders to their views.
        """
        cache, rivals = ((moved or {}).get(path, path) for path in (self.cache, self.rivals))
        path = (contender.folder, REPOSITORY)
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
            **contender.variables,
            "AWS_LAMBDA_FUNCTION_NAME": contender.module,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": TWO_VCPU_MB if cpus is None else ONE_VCPU_MB,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "600",
            "LAMBDA_TASK_ROOT": str(contender.folder),
            "BENCH_MINILM": str(rivals / "minilm"),
            "BENCH_OPENVINO": str(rivals / "openvino"),
            "BENCH_CT2_DISTILBERT": str(rivals / "ct2-distilbert"),
            "BENCH_CT2_BART": str(rivals / "ct2-bart"),
            "BENCH_CT2_LANGUAGE_MODELS": str(rivals / "ct2-language-models"),
            "BENCH_LLAMA_CPP": str(rivals / "llama-cpp"),
        }
