"""What is to be warmed: a model at a revision, with every use that scripts make of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discovery import Script, read_scripts
from hf_lambda.repo_id import is_repo_id

from .errors import WarmupError


@dataclass(frozen=True)
class Use:
    """One pipeline over a model. `samples`: the script's own inputs for the gate, as a JSON list."""

    task: str
    engine: str = "auto"
    precision: str = "auto"
    samples: str | None = None

    @property
    def gate_samples(self) -> list[Any] | None:
        return json.loads(self.samples) if self.samples else None


@dataclass(frozen=True)
class Model:
    model: str
    revision: str | None
    uses: tuple[Use, ...]

    @property
    def key(self) -> str:
        return f"{self.model}@{self.revision or 'main'}"

    def to_event(self) -> list[dict[str, Any]]:
        """Entries for the `models` of an event."""
        name = {"model": self.model, "revision": self.revision}
        return [{**name, **asdict(use), "samples": use.gate_samples} for use in self.uses]


def models_of_scripts(scripts: Iterable[Script]) -> tuple[Model, ...]:
    """Every model that `scripts` declare, once per revision."""
    declared = []
    for script in scripts:
        for pipeline in script.pipelines:
            # A plain script loads with transformers by itself: nothing could use a prepared model.
            engine = "torch" if pipeline.plain else pipeline.engine
            use = Use(pipeline.task, engine, pipeline.precision, _text(pipeline.samples))
            declared.append((pipeline.model, pipeline.revision, use))
    return _grouped(declared)


def models_of_event(entries: Iterable[Mapping[str, Any]]) -> tuple[Model, ...]:
    """The `models` of an event. Raises WarmupError that shows a valid entry."""
    declared: list[tuple[str, str | None, Use]] = []
    for entry in entries:
        name, task = entry.get("model"), entry.get("task")
        if not (is_repo_id(name) and isinstance(task, str)):
            raise WarmupError(
                "usage",
                f"models: {dict(entry)!r} is not a model. Write for instance "
                '{"model": "org/name", "revision": null, "task": "text-classification"}',
            )
        engine, precision = entry.get("engine") or "auto", entry.get("precision") or "auto"
        use = Use(task, engine, precision, _text(entry.get("samples")))
        declared.append((name, entry.get("revision"), use))
    return _grouped(declared)


def read_models(folder: Path) -> tuple[Model, ...]:
    """Every model that the scripts in `folder` declare."""
    return models_of_scripts(read_scripts(folder))


def _grouped(declared: Iterable[tuple[str, str | None, Use]]) -> tuple[Model, ...]:
    uses: dict[tuple[str, str | None], dict[Use, None]] = {}
    for name, revision, use in declared:
        # "main" spelt out is the same manifest as none given.
        uses.setdefault((name, None if revision == "main" else revision), {})[use] = None
    return tuple(Model(name, revision, tuple(found)) for (name, revision), found in uses.items())


def _text(samples: Sequence[Any] | None) -> str | None:
    return json.dumps(list(samples)) if samples else None
