"""A small embedded Hub and a cache of its own for each test, and the real client that talks to it."""

import hashlib
import os
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils._http import close_session
from huggingface_hub.utils.tqdm import disable_progress_bars

from local.hub import Hub, serve

COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One pinned repository with a folder inside, and one without a commit of its own."""
    pinned = tmp_path / "models" / "org" / "pinned"
    (pinned / "onnx").mkdir(parents=True)
    (pinned / ".commit").write_text(COMMIT)
    (pinned / "config.json").write_text('{"model_type": "distilbert"}')
    (pinned / "model.safetensors").write_bytes(WEIGHTS)
    (pinned / "onnx" / "model.onnx").write_bytes(b"onnx")
    (pinned / "onnx" / "notes.txt").write_text("notes")
    own = tmp_path / "models" / "org" / "own"
    own.mkdir()
    (own / "config.json").write_text("{}")
    return tmp_path / "models"


@pytest.fixture
def hub(models: Path) -> Hub:
    return Hub(models)


@pytest.fixture
def endpoint(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """URL of the running Hub; the client's waits are short and its cache is the test's."""
    disable_progress_bars()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with serve(hub) as running:
        yield running.url
    close_session()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def git_blob(content: bytes) -> str:
    """What `git hash-object` prints."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
