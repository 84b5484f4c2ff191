"""A tiny classifier with matrices large enough to be quantised, and how to prepare it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from hf_lambda.manifest import PreparedEntry
from tests import tiny_encoders
from warmup.prepare import PrepareRequest, prepare

LARGE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256}
COMMIT = "c" * 40


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers.utils.logging.disable_progress_bar()
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("snapshot") / "bert", **LARGE)
    return tiny_encoders.save_head(folder, "AutoModelForSequenceClassification")


def requested(snapshot: Path, task: str = "text-classification", **options: Any) -> PrepareRequest:
    return PrepareRequest(task, "org/name", COMMIT, snapshot, **options)


def prepared(snapshot: Path, into: Path, **options: Any) -> PreparedEntry:
    """options: those of a request, and of `prepare`."""
    running = {name: options.pop(name) for name in ("progress", "remaining_s") if name in options}
    return prepare(requested(snapshot, **options), into=into, isolated=False, **running)
