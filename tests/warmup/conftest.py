"""Models to warm, an embedded Hub that serves them, a cache, and the handler as Lambda would call it."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.utils._http import close_session

from local.hub import Hub, serve
from tests.warmup.support import Warming, model_folder


@pytest.fixture(autouse=True)
def no_proxy_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "AWS_", "STAGING_")):
            monkeypatch.delenv(name)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`org/tiny` and `org/other`, two repositories with all that transformers needs and more."""
    root = tmp_path / "models"
    model_folder(root / "org" / "tiny", seed=1)
    model_folder(root / "org" / "other", seed=2)
    return root


@pytest.fixture
def hub(models: Path) -> Hub:
    return Hub(models)


@pytest.fixture
def warming(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The warm-up Lambda over a cache of its own, with the embedded Hub."""
    monkeypatch.setattr("warmup.worker.hub.BACKOFF_SECONDS", 0.01)
    cache = tmp_path / "cache"
    with serve(hub) as running:
        monkeypatch.setenv("MODEL_CACHE", str(cache))
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path / "scripts"))
        (tmp_path / "scripts").mkdir()
        yield Warming(cache, hub, running.url)
    close_session()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outages that do not pass are given up at once."""
    monkeypatch.setattr("warmup.worker.hub.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("warmup.worker.hub.RATE_LIMIT_PATIENCE_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What a test makes the Lambda log ends with it."""
    logger = logging.getLogger("warmup")
    before = [*logger.handlers]
    yield
    logger.handlers[:] = before


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]):
    """The events that the Lambda has logged since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
