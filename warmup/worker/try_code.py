"""The second warm-up Lambda: loads models by their repositories' own code, and says whether they load.

Its role has neither the Hub's token nor the staging bucket; it reads the cache and reaches nothing else. The
code runs in a child process without this one's variables and without input. That is no boundary: both are one
user, and code that wants to can read what the process may read. It is kept away from what is worth stealing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

from hf_lambda.manifest import find_manifest
from hf_lambda.remote_code import Consent, pinned_to

from ..prepare.recipe import child_environment
from ..protocol.answers import CodeTrial, CodeTrials
from ..protocol.errors import ErrorKind, ErrorReport, WarmupError
from ..protocol.events import Action, ModelEvent, event_from_json
from ..protocol.models import ModelRequest, Use
from ..protocol.records import Json
from .handler import WITHOUT_CONTEXT_SECONDS, Environment
from .logs import log, log_to_stdout

_MARGIN_S = 15.0
_SAID_CHARACTERS = 600


def handler(event: Json, context: object) -> dict[str, Json]:
    """Lambda's entry: the answer to `try`, or an error as the warm-up words it."""
    log_to_stdout()
    try:
        wanted = event_from_json(event)
        if not isinstance(wanted, ModelEvent) or wanted.action is not Action.TRY:
            raise WarmupError(
                ErrorKind.USAGE, 'this function runs code of repositories: {"action": "try"} alone'
            )
        return try_code(wanted.models, Environment.of(os.environ), _clock(context)).to_json()
    except WarmupError as error:
        return {"error": error.report.to_json()}
    except OSError as error:
        return {"error": ErrorReport(ErrorKind.CACHE, f"{error.filename}: {error.strerror}").to_json()}


def try_code(
    models: tuple[ModelRequest, ...], environment: Environment, remaining_s: Callable[[], float]
) -> CodeTrials:
    """One trial for each use that lets code run."""
    trials = []
    for model in models:
        for use in model.uses:
            if use.remote_code:
                error = _fault(model, use, environment, remaining_s)
                log("code tried", model=model.key, task=use.task, works=error is None)
                trials.append(CodeTrial(model.repo_id, use.task, error))
    return CodeTrials(tuple(trials))


def _fault(
    model: ModelRequest, use: Use, environment: Environment, remaining_s: Callable[[], float]
) -> str | None:
    manifest = find_manifest(environment.cache, model.repo_id, model.revision)
    if manifest is None:
        return f"{model.key} is not in the cache: warm it first"
    snapshot = manifest.snapshot_path(environment.cache)
    consent = pinned_to(Consent(use.code_revision), model.repo_id, manifest.commit, snapshot)
    asked = json.dumps({"task": use.task, "snapshot": str(snapshot), "code_revision": consent.code_revision})
    with tempfile.TemporaryDirectory() as scratch:
        variables = {**_without_home(environment.variables), "HOME": scratch, "HF_HOME": scratch}
        try:
            done = subprocess.run(
                [sys.executable, "-m", f"{__package__}.load_code", asked],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env={**variables, "HF_HUB_CACHE": str(environment.cache / "hub")},
                cwd=scratch,
                start_new_session=True,
                timeout=max(1.0, remaining_s() - _MARGIN_S),
            )
        except subprocess.TimeoutExpired:
            return "it did not load within the time that is left"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        fix = "most likely out of memory: raise warmupMemoryMb"
        return f"loading it was killed (signal {-done.returncode}), {fix}"
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return said[-1][:_SAID_CHARACTERS] if said else f"it ended with {done.returncode} and said nothing"


def _without_home(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in child_environment(variables).items() if name != "XDG_CACHE_HOME"}


def _clock(context: object) -> Callable[[], float]:
    if hasattr(context, "get_remaining_time_in_millis"):
        return lambda: float(context.get_remaining_time_in_millis()) / 1000
    return lambda: WITHOUT_CONTEXT_SECONDS
