"""What language models take of their functions' memory, as the report of the last `make up` has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from discovery import Script
from hf_lambda.manifest import PreparedEntry
from hf_lambda.tasks import head_of
from warmup.cli.command import prepared_for
from warmup.protocol.answers import WarmedModel
from warmup.protocol.reports import WarmReport


@dataclass(frozen=True)
class NeededMemory:
    """Of one language model of a script. made: None where no warm-up has told."""

    script: str
    model: str
    made: PreparedEntry | None


def read_warmed(report: Path | None) -> tuple[WarmedModel, ...]:
    """What it warmed; nothing where there was none, or its report is of another version."""
    try:
        return WarmReport.from_json(json.loads(report.read_text())).warmup if report else ()
    except (OSError, ValueError, TypeError, KeyError):
        return ()


def needed_memory(scripts: Sequence[Script], warmed: Sequence[WarmedModel]) -> tuple[NeededMemory, ...]:
    """Of embedders and rerankers it is the warm-up that says whether they are language models."""
    found = []
    for script in scripts:
        for pipeline in script.pipelines:
            made = prepared_for(pipeline, warmed)
            says = made is not None and made.memory_mb > 0
            is_generated = head_of(pipeline.task) == "causal-lm" and pipeline.engine != "torch"
            if says or (is_generated and not pipeline.plain):
                found.append(NeededMemory(script.name, pipeline.model, made if says else None))
    return tuple(found)
