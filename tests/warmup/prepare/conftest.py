"""A tiny classifier with matrices large enough to be quantised, and how to prepare it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from tests import tiny_encoders
from warmup.prepare import prepare

LARGE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256}
COMMIT = "c" * 40


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers.utils.logging.disable_progress_bar()
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("snapshot") / "bert", **LARGE)
    return tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")


def prepared(snapshot: Path, into: Path, **options: Any) -> dict[str, Any]:
    options = {
        "task": "text-classification",
        "isolated": False,
        "model": "org/name",
        "commit": COMMIT,
        **options,
    }
    task = options.pop("task")
    return prepare(task, snapshot, into=into, **options)
