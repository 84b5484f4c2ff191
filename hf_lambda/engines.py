"""Which engine answers: a prepared model on onnxruntime, or transformers on torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from .errors import EngineUnavailable
from .manifest import Manifest
from .records import Json
from .remote_code import Consent
from .tasks import head_of

STATIC = "static"
"""Precision and label of a table of token vectors, which needs no network."""
Input: TypeAlias = Any
"""What a call is given, once it is checked: JSON, or an Image or Audio, as the task takes it."""


class Engine(Protocol):
    """A loaded model."""

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """One answer per input. The parameters are checked already."""


@dataclass(frozen=True)
class EngineChoice:
    """`label` is that of logs and reports: "onnx-int8", "onnx-fp32", "static" or "torch"; `prepared`: the
    folder of the first three."""

    label: str
    prepared: Path | None = None


def choose(
    manifest: Manifest,
    *,
    task: str,
    engine: str,
    requested: str,
    cache: Path,
    environ: Mapping[str, str],
    onnxruntime: str | None,
    torch: bool,
    machine: str = os.uname().machine,
) -> EngineChoice:
    """`requested`: as the manifest has it; `onnxruntime`: the installed version.

    Raises EngineUnavailable with the reason and the fix.
    """
    if engine != "torch":
        head = head_of(task)
        for entry in manifest.prepared:
            key = (entry.head, entry.requested, entry.machine, entry.onnxruntime)
            if key == (head, requested, machine, onnxruntime):
                label = STATIC if entry.precision == STATIC else f"onnx-{entry.precision}"
                return EngineChoice(label, cache / entry.path)
    # A model that the first request downloaded was never prepared.
    may_fall_back = engine != "onnx" or environ.get("COLD_DOWNLOAD") == "1"
    if torch and may_fall_back:
        return EngineChoice("torch")
    why = _why_not(manifest, task, requested, machine, onnxruntime)
    raise EngineUnavailable(f"{manifest.model} cannot answer: {why}. {_fix(engine, environ)}")


def load(
    choice: EngineChoice,
    task: str,
    snapshot: Path,
    options: Mapping[str, Json],
    consent: Consent | None = None,
) -> Engine:
    """The engine, ready to answer; `options` are those of `parameters.LOAD_OPTIONS`."""
    if choice.prepared is not None and choice.label == STATIC:
        from .static_embedding import load as load_static

        return load_static(choice.prepared)
    if choice.prepared is not None:
        from .onnx_engine import load as load_onnx

        return load_onnx(task, choice.prepared, **options)
    from .torch_engine import load as load_torch

    return load_torch(task, snapshot, consent)


def installed_onnxruntime() -> str | None:
    """Version, read from the name of its metadata folder: `importlib.metadata` takes 20 ms to import."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    folders = sorted(Path(spec.origin).parents[1].glob("onnxruntime-*.dist-info"))
    return folders[-1].name.removesuffix(".dist-info").partition("-")[2] if folders else None


def has_torch() -> bool:
    return find_spec("torch") is not None and find_spec("transformers") is not None


def _why_not(manifest: Manifest, task: str, requested: str, machine: str, onnxruntime: str | None) -> str:
    head = head_of(task)
    wanted = f"precision {requested}, {machine}, onnxruntime {onnxruntime or 'not installed'}"
    for refused in manifest.not_prepared:
        if (refused.head, refused.requested) == (head, requested):
            return f"it was not prepared ({refused.reason})"
    others = [
        f"precision {entry.requested}, {entry.machine}, onnxruntime {entry.onnxruntime}"
        for entry in manifest.prepared
        if entry.head == head
    ]
    if others:
        return f"it is prepared for {'; '.join(others)}, this function needs {wanted}"
    return f"it is not prepared for {task}, and this image has no torch"


def _fix(engine: str, environ: Mapping[str, str]) -> str:
    command = environ.get("WARM_COMMAND") or "python -m warmup"
    other = 'engine="torch"' if engine == "onnx" else 'image "full"'
    return f"Warm it again ({command}), or set {other} for this pipeline"
