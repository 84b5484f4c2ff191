"""Prepared tiny models, made once per run, and the same models in transformers' own pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from hf_lambda.onnx_engine import load
from hf_lambda.tasks import AUTO_CLASSES, head_of
from tests import tiny_encoders
from warmup.prepare import PrepareRequest, prepare


class Pair:
    """`fast`: our engine over the prepared model. `slow()`: transformers' pipeline over the same snapshot."""

    def __init__(self, task: str, snapshot: Path, prepared: Path) -> None:
        self.task, self.snapshot, self.prepared = task, snapshot, prepared
        self.fast = load(task, prepared)
        self.slow: Any = None
        if task not in ("question-answering", "text-ranking"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.slow = transformers.pipeline(task, model=str(snapshot), device="cpu")


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pair]:
    """`pair(task, family, labels=..., **config)`."""
    transformers.utils.logging.disable_progress_bar()
    made: dict[str, Pair] = {}

    def make(task: str, family: str = "bert", **options: Any) -> Pair:
        key = repr((AUTO_CLASSES[head_of(task)], family, sorted(options.items())))
        if (key := f"{task} {key}") not in made:
            folder = tmp_path_factory.mktemp("model")
            if task == "question-answering":
                options = {"labels": ["a", "b"], **options}
            if task == "text-ranking":
                options = {"labels": ["LABEL_0"], **options}
            if task == "zero-shot-classification":
                options = {"labels": ["contradiction", "neutral", "entailment"], **options}
            snapshot = tiny_encoders.build(family, folder / "snapshot", **options)
            tiny_encoders.save_head(snapshot, AUTO_CLASSES[head_of(task)])
            request = PrepareRequest(task, "a/b", "c" * 40, snapshot, precision="fp32")
            entry = prepare(request, into=folder, isolated=False)
            made[key] = Pair(task, snapshot, Path(entry.path))
        return made[key]

    return make


def same(got: Any, wanted: Any, tolerance: float = 2e-5) -> None:
    """Assert equal structure, keys and values; numbers within `tolerance`."""
    if isinstance(wanted, dict):
        assert set(got) == set(wanted), (got, wanted)
        for key, value in wanted.items():
            same(got[key], value, tolerance)
    elif isinstance(wanted, (list, tuple)):
        assert len(got) == len(wanted), (got, wanted)
        for first, second in zip(got, wanted, strict=True):
            same(first, second, tolerance)
    elif isinstance(wanted, str) or wanted is None:
        assert got == wanted
    else:
        assert isinstance(got, (int, float)), type(got)  # what JSON can hold, no numpy scalars
        assert float(got) == pytest.approx(float(wanted), abs=tolerance)
