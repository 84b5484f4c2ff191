"""Running the steps of a plan one by one: each in its own process, within the time left, never twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .plan import NotPrepared, Plan, Unfinished

_MARGIN_S = 10.0
"""Time that the caller keeps to write down what happened."""
_ATTEMPTS = 3


class Runner:
    """Steps of one plan. A step that is done left `<work>/<step>.json` and is not run again."""

    def __init__(
        self,
        plan: Plan,
        progress: Callable[[str], None],
        remaining_s: Callable[[], float] | None,
        isolated: bool,
    ) -> None:
        self._plan, self._work = plan, Path(plan.work)
        self._progress, self._remaining_s, self._isolated = progress, remaining_s, isolated

    def run(self, step: str) -> dict[str, Any]:
        """Result of `step`. Raises NotPrepared where it refuses or cannot end, Unfinished out of time."""
        done = self._work / f"{step}.json"
        if not done.is_file():
            timeout_s = self._remaining_s() - _MARGIN_S if self._remaining_s else None
            if timeout_s is not None and timeout_s <= 0:
                raise Unfinished(f"no time left for the step {step!r} of {self._plan.name}")
            self._progress(step)
            self._count(step)
            if self._isolated:
                self._run_isolated(step, timeout_s)
            else:
                from .steps import run_step

                run_step(self._work, step)
        record = json.loads(done.read_text())
        if "not_prepared" in record:
            raise NotPrepared(record["not_prepared"])
        result: dict[str, Any] = record["result"]
        return result

    def peak_mb(self) -> int:
        """Largest resident memory of a step's process; of this process where steps are not isolated."""
        return max((record["peak_mb"] for record in self._records()), default=0)

    def seconds(self) -> float:
        return float(sum(record["seconds"] for record in self._records()))

    def _records(self) -> list[dict[str, Any]]:
        documents = [json.loads(path.read_text()) for path in self._work.glob("*.json")]
        return [document for document in documents if "peak_mb" in document]

    def _count(self, step: str) -> None:
        """Every start is written down first: a step that kills its machine must not be tried for ever."""
        path = self._work / f"{step}.attempts"
        attempts = int(path.read_text()) if path.is_file() else 0
        if attempts >= _ATTEMPTS:
            raise NotPrepared(
                f"the step {step!r} was started {attempts} times and never ended: "
                "give the warm-up more memory or time, or write engine='torch'"
            )
        path.write_text(str(attempts + 1))

    def _run_isolated(self, step: str, timeout_s: float | None) -> None:
        log = self._work / f"{step}.log"
        command = [sys.executable, "-m", __package__, str(self._work), step]
        with log.open("wb") as output:
            try:
                code = subprocess.run(
                    command, stdout=output, stderr=output, env=_environment(os.environ), timeout=timeout_s
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise Unfinished(f"the step {step!r} needs more than {timeout_s:.0f} s") from error
        if code < 0:
            raise NotPrepared(
                f"the step {step!r} was killed (signal {-code}), most likely out of memory: "
                "give the warm-up more memory, or write engine='torch'"
            )
        if code != 0:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise NotPrepared(f"the step {step!r} failed: {' '.join(last)}")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """That of this process, plus its import path; offline and without tokens: a step needs no network."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("HF_TOKEN", "HUGGING_FACE"))
    }
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**kept, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
