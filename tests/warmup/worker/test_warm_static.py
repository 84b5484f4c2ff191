"""Repositories of static embeddings, from the Hub to an answer: fetched, prepared, served."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from hf_lambda.pipeline import Pipeline
from tests.hf_lambda.test_static_embedding import REPOSITORIES
from tests.warmup.support import Warming
from warmup.prepare import prepare


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One with its table in a folder of its own, one with it in the root."""
    root = tmp_path / "models"
    for name in ("plain", "normalized"):
        REPOSITORIES[name](root / "org" / name)
    return root


@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_static_embeddings_are_warmed_and_answer_without_torch(
    warming: Warming, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("warmup.worker.warm.prepare", partial(prepare, isolated=False))
    asked = {"model": f"org/{name}", "revision": None, "task": "feature-extraction", "engine": "onnx"}
    state = warming.warm(asked)
    assert state["state"] == "done", state
    monkeypatch.setattr("hf_lambda.engines.has_torch", lambda: False)
    environ = {"MODEL_CACHE": str(warming.cache)}
    served = Pipeline("feature-extraction", f"org/{name}", None, {"engine": "onnx"}, environ)
    assert len(served("a train", pooling="auto")) == 8
    assert served.loaded_as() == "static"
