"""The stage of an attack: an embedded Hub with small models, a cache, the warm-up over it and pipelines."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hf_lambda.pipeline import Pipeline
from local.hub import Hub, serve
from warmup.prepare import prepare
from warmup.worker.handler import handler
from warmup.worker.untrained import compare

SMALL, LARGE = "org/small", "org/large"
TEXT = "The train to Edinburgh leaves at 7:45, and the coffee is wonderful."
_STEP_LIMIT_MS = 900_000
Handler = Callable[[Any, object], Mapping[str, Any]]


class Context:
    """Lambda's, with time enough."""

    aws_request_id = "attack"

    def get_remaining_time_in_millis(self) -> int:
        return _STEP_LIMIT_MS


def build_models(root: Path) -> Path:
    """Two classifiers, one with more than a megabyte of weights; ROOT/org/name as the Hub serves them."""
    from tests import tiny_encoders

    sizes: dict[str, dict[str, Any]] = {SMALL: {}, LARGE: {"hidden_size": 128, "intermediate_size": 2048}}
    for name, options in sizes.items():
        folder = tiny_encoders.build("bert", root / name, **options)
        tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")
    return root


def entry(model: str, engine: str = "auto", **changes: Any) -> dict[str, Any]:
    return {"model": model, "revision": None, "task": "text-classification", "engine": engine, **changes}


@dataclass
class Stage:
    """A cache and what works on it. Unless `isolated`, what runs in a process of its own, because it needs
    torch, runs in this one, which has it already."""

    url: str
    cache: Path
    isolated: bool = False

    def variables(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        scripts = self.cache.parent / "scripts"
        scripts.mkdir(exist_ok=True)
        return {
            **kept,
            "MODEL_CACHE": str(self.cache),
            "HF_ENDPOINT": self.url,
            "LAMBDA_TASK_ROOT": str(scripts),
            "OMP_NUM_THREADS": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "WARM_COMMAND": "python -m warmup --stack attack",
            **more,
        }

    def invoke(
        self, event: Any, function: Handler = handler, /, **variables: str
    ) -> tuple[Mapping[str, Any], str]:
        """The answer of the warm-up, or of another function, and all that it wrote."""
        log = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.variables(**variables), clear=True),
            self._in_process(),
            mock.patch("warmup.worker.hub.BACKOFF_SECONDS", 0.01),
            mock.patch("warmup.worker.hub.PATIENCE_SECONDS", 0.2),
            mock.patch("warmup.worker.hub.RATE_LIMIT_PATIENCE_SECONDS", 0.2),
            contextlib.redirect_stdout(log),
        ):
            return function(event, Context()), log.getvalue()

    @contextlib.contextmanager
    def _in_process(self) -> Iterator[None]:
        if self.isolated:
            yield
            return
        quick = functools.partial(prepare, isolated=False)
        with (
            mock.patch("warmup.worker.warm.prepare", quick),
            mock.patch("warmup.worker.suitability._compare", lambda path, tasks, _: compare(path, tasks)),
        ):
            yield

    def warm(self, *entries: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.invoke({"action": "warm", "models": [*entries]})[0]

    def ask(self, model: str, engine: str = "auto") -> Any:
        """What an endpoint that starts now answers. Raises as its pipeline does."""
        return self.pipeline("text-classification", model, engine=engine, top_k=3)(TEXT)

    def pipeline(self, task: str, model: str, **options: Any) -> Pipeline:
        return Pipeline(task, model, None, options, self.variables())

    @contextlib.contextmanager
    def copy(self, cache: Path) -> Iterator[Stage]:
        """The same over a copy of the cache, which is gone afterwards."""
        shutil.copytree(self.cache, cache, symlinks=True)
        try:
            yield Stage(self.url, cache)
        finally:
            shutil.rmtree(cache, ignore_errors=True)


@contextlib.contextmanager
def stage(root: Path, models: Path) -> Iterator[Stage]:
    """An empty cache below `root` and a Hub that serves `models`."""
    with serve(Hub(models)) as running:
        yield Stage(running.url, root / "cache")


def shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def is_same(left: Any, right: Any) -> bool:
    """Whether two answers are the same but for the last digits."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) < 1e-4
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    return bool(json.dumps(left) == json.dumps(right))
