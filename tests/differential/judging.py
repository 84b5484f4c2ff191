"""One call after the other: transformers' answer, ours, and what is different about them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hf_lambda.errors import ServingError
from hf_lambda.pipeline import LoadedEngine, Pipeline
from tests.differential.calls import Call
from tests.hf_lambda.onnx_engine.conftest import same


class Compared:
    """One model: transformers' pipeline, and ours over every engine that has it."""

    ours: Mapping[str, Pipeline]
    mask: str | None = None

    def judged(self, call: Call) -> Any:
        """transformers' answer; raises what it raises."""
        raise NotImplementedError

    def same(self, got: Any, wanted: Any) -> None:
        """Raises AssertionError where `got` says something else."""
        same(got, wanted, 1e-4)


def pipeline_over(task: str, engine: Any) -> Pipeline:
    served = Pipeline(task, "a/b", "c" * 40, {}, {})
    served._loaded = lambda: LoadedEngine(engine, "tested", 0.0, [])  # type: ignore[method-assign]
    return served


def differences(compared: Compared, engine: str, every: Iterable[Call]) -> list[str]:
    """What is not as transformers has it, a line for each call."""
    found = []
    for call in every:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted, problem = _answer(compared.judged, call)
            got, refusal = _answer(lambda call: compared.ours[engine](call.inputs, **call.parameters), call)
        if refusal is not None and not isinstance(refusal, ServingError):
            found.append(f"{call}: {refusal!r} is no refusal")
        elif (problem is None) != (refusal is None):
            found.append(f"{call}: transformers {problem!r}, here {refusal!r}")
        elif problem is None and (difference := _difference(compared, got, wanted)):
            found.append(f"{call}: {difference}")
    return found


def _answer(ask: Callable[[Call], Any], call: Call) -> tuple[Any, Exception | None]:
    np.random.seed(0)  # ClapFeatureExtractor cuts a long sound at a place that it draws
    try:
        return ask(call), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return None, error


def _difference(compared: Compared, got: Any, wanted: Any) -> str | None:
    try:
        compared.same(got, wanted)
    except AssertionError as error:
        return str(error).partition("\n")[0][:300] or f"{got!r} is not {wanted!r}"[:300]
    return None
