"""Prepares what was fetched for an endpoint, with the warm-up's code, without network and token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from discovery import Script
from hf_lambda.atomic import replace_text

from ..cli.command import memory_advice
from ..protocol.answers import WarmedModel
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action
from ..protocol.models import ModelRequest, models_of_scripts
from ..protocol.reports import WarmReport
from ..worker.fetch import adapter_requests
from ..worker.handler import run_model
from ..worker.jobs import Job
from ..worker.verify import verify
from ..worker.warm import prepare_only
from .fetch import WITHOUT_DEADLINE_SECONDS, Show

REPORT = "report.json"
"""In the folder: what was made of its models, as a warm-up reports it."""


def prepare_endpoint(
    script: Script, folder: Path, environ: Mapping[str, str], show: Show, *, memory_mb: int | None = None
) -> WarmReport:
    """Hash every file in `folder` again, prepare the models of `script`, write the report beside them.

    memory_mb: of the function. `environ`: PREPARE_TOLERANCE as the warm-up knows it. What went wrong is in
    the report's errors.
    """
    memory = {script.name: memory_mb} if memory_mb else {}
    models = models_of_scripts([script], memory)
    job = Job("image", Action.PREPARE, lambda: WITHOUT_DEADLINE_SECONDS, show)
    for model in models:
        run_model(model.key, job, partial(_prepare, model, script, folder, job, environ))
    ended = [job.state.progress(model.key) for model in models]
    warmed = tuple(each.result for each in ended if isinstance(each.result, WarmedModel))
    report = WarmReport(
        stack="image",
        warmup=warmed,
        errors=(
            *(
                f"{model.key}: {each.error.message}"
                for model, each in zip(models, ended, strict=True)
                if each.error is not None
            ),
            *(
                f"{each.repo_id}@{each.revision} is refused for {use.task}: {use.reason}"
                for each in warmed
                for use in each.refused
            ),
        ),
        advice=tuple(memory_advice([script], memory, warmed)),
    )
    replace_text(folder / REPORT, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    return report


def _prepare(
    model: ModelRequest, script: Script, folder: Path, job: Job, environ: Mapping[str, str]
) -> WarmedModel:
    for each in (model, *adapter_requests(model)):
        verified = verify(folder, each, job)
        if verified.faults:
            said = ", ".join(f"{fault.path} {fault.fault}" for fault in verified.faults)
            raise WarmupError(
                ErrorKind.DAMAGED,
                f"{said}. Fetch it again, to where it came from: python -m warmup fetch --endpoint "
                f"{script.name} --into ...",
            )
    job.progress(model.key, phase="prepare", bytes_done=0, bytes_total=0, files_total=0)
    return prepare_only(model, folder, job, environ)
