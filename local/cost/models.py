"""What the Hub says of the models of scripts: bytes to store and to read, the time of a request."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from discovery import Declared, Script
from hf_lambda.repo_id import is_model_folder
from warmup.add.command import hub_source
from warmup.add.facts import read_facts
from warmup.add.forecast import Forecast, forecast


@dataclass(frozen=True)
class ModelForecast:
    """Of one script, all of its models together. None: of one of them it is not known."""

    script: str
    stored_bytes: int | None
    """In the cache: what is downloaded, and what is prepared of it."""
    cold_bytes: int | None
    """Read at a cold start, at most."""
    warm_ms: float | None
    measured: str = ""
    """What `warm_ms` was scaled from."""


def ask_hub(
    scripts: Sequence[Script], hub: str | None, note: Callable[[str], None] = lambda text: None
) -> tuple[ModelForecast, ...]:
    """Forecasts as `make add` makes them; weights stay at the Hub. Raises WarmupError where it says no."""
    source = hub_source(hub, note)
    known: dict[Declared, Forecast] = {}
    for declared in dict.fromkeys(each for script in scripts for each in script.pipelines):
        if is_model_folder(declared.model) or declared.files is not None or declared.adapter:
            continue
        with tempfile.TemporaryDirectory(prefix="hf-lambda-cost-") as folder:
            facts = read_facts(source, declared.model, declared.revision, Path(folder))
            if facts.problem is None:
                known[declared] = forecast(facts, declared.task)
    return tuple(_together(script, [known.get(each) for each in script.pipelines]) for script in scripts)


def _together(script: Script, found: Sequence[Forecast | None]) -> ModelForecast:
    models = [each for each in found if each is not None]
    if len(models) < len(found) or not models:
        return ModelForecast(script.name, None, None, None)
    times = [each.warm_ms for each in models if each.warm_ms is not None]
    return ModelForecast(
        script.name,
        stored_bytes=sum(each.download_bytes + each.cold_bytes * each.prepared for each in models),
        cold_bytes=sum(each.cold_bytes for each in models),
        warm_ms=sum(times) if len(times) == len(models) else None,
        measured="; ".join(dict.fromkeys(each.measured for each in models)),
    )
