"""What the warm-up's tests share: small models, Lambda's context, the handler and the cache behind it."""

import hashlib
import json
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_lambda.manifest import Manifest, repo_folder
from local.hub import Hub
from warmup.worker.handler import handler
from warmup.worker.source import RemoteFile

WEIGHT_BYTES = 1 << 20
SNAPSHOT_BYTES = WEIGHT_BYTES + 33 + 2
"""Weights, config and tokenizer of a `model_folder`."""
TINY = {"model": "org/tiny", "revision": None, "task": "text-classification", "engine": "torch"}
OTHER = {**TINY, "model": "org/other"}
KEY = "org/tiny@main"


def model_folder(folder: Path, seed: int) -> Path:
    """A repository with weights in two formats, tokenizer, config, and files that nobody needs."""
    folder.mkdir(parents=True)
    weights = random.Random(seed).randbytes(WEIGHT_BYTES)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "seed": seed}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "pytorch_model.bin").write_bytes(weights[::-1])
    (folder / "tf_model.h5").write_bytes(weights[:100])
    (folder / "README.md").write_text("# Tiny")
    return folder


def remote(path: str, content: bytes = b"x", *, large: bool = False) -> RemoteFile:
    sha256 = hashlib.sha256(content).hexdigest() if large else None
    return RemoteFile(path, len(content), git_blob(content), sha256)


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Context:
    """Lambda's context: `remaining_ms` left, or what a function says."""

    def __init__(self, remaining_ms: Any = 900_000) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return int(self._remaining_ms() if callable(self._remaining_ms) else self._remaining_ms)


@dataclass
class Warming:
    """The warm-up over `cache`; the Hub is at `url`."""

    cache: Path
    hub: Hub
    url: str
    context: Context = field(default_factory=Context)

    def invoke(self, action: str = "warm", *models: dict[str, Any], **event: Any) -> dict[str, Any]:
        document = {"action": action, **event}
        if models:
            document["models"] = [*models]
        return handler(document, self.context)

    def warm(self, *models: dict[str, Any], **event: Any) -> dict[str, Any]:
        """Warm `models` (org/tiny) and return the last state of the job."""
        return self.invoke("warm", *(models or (TINY,)), **event)

    def error(self, *models: dict[str, Any]) -> dict[str, str]:
        """The error of the only model, which must fail."""
        state = self.warm(*models)
        assert state["state"] == "failed", state
        [progress] = state["models"].values()
        error: dict[str, str] = progress["error"]
        return error

    def manifest(self, model: str = "org/tiny", revision: str = "main") -> Manifest | None:
        path = self.cache / "manifests" / repo_folder(model) / f"{revision}.json"
        return Manifest.from_json(json.loads(path.read_text())) if path.is_file() else None

    def file(self, name: str, model: str = "org/tiny") -> Path:
        """A file of the published snapshot."""
        manifest = self.manifest(model)
        assert manifest is not None
        return self.cache / manifest.snapshot / name

    def blobs(self, model: str = "org/tiny") -> set[str]:
        return {path.name for path in (self.cache / "hub" / repo_folder(model) / "blobs").iterdir()}

    def asked(self) -> list[tuple[str, str]]:
        """Method and path of what reached the Hub since the last call."""
        asked = [(entry.method, entry.path) for entry in self.hub.asked]
        self.hub.asked.clear()
        return asked


def run(work: Any, *arguments: Any) -> tuple[threading.Thread, list[Any]]:
    """Start `work` on a thread; its result is appended to the list."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work(*arguments)), daemon=True)
    thread.start()
    return thread, results
