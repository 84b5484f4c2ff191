"""The warm-up Lambda: event -> warm | plan | fetch | prepare | verify | prune | status."""

from __future__ import annotations

import os
import traceback
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..errors import OutOfTime, Stopped, WarmupError
from ..models import Model, models_of_event, read_models
from .actions import ACTIONS, Surroundings, prune_cache
from .jobs import Job, read_job
from .logs import log
from .status import status

WITHOUT_CONTEXT_SECONDS = 900.0
# Read when huggingface_hub and hf_xet are imported, which is after this. By themselves hf_xet's buffers may
# take 2 GB and 512 MB per file; blobs shared between repositories would outlive a prune.
_CLIENT = {
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_SIZE": "256mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_PERFILE_SIZE": "64mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "512mb",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_VERBOSITY": "error",  # the log is one JSON line per event
}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry. Never raises: an asynchronous invocation that fails is run again by Lambda itself."""
    for name, value in _CLIENT.items():
        os.environ.setdefault(name, value)
    try:
        return answer(event, Surroundings(os.environ), _clock(context))
    except WarmupError as error:
        return {"state": "failed", "error": {"kind": error.kind, "message": str(error)}}


def answer(
    event: Mapping[str, Any], around: Surroundings, remaining_s: Callable[[], float]
) -> dict[str, Any]:
    """The job's last state, which the cache keeps too; for `status` what the job file or the cache says."""
    action = event.get("action", "warm")
    if action == "status":
        return _status(event, around)
    if action not in ACTIONS and action != "prune":
        names = ", ".join([*ACTIONS, "prune", "status"])
        raise WarmupError("usage", f"action: {action!r} is not one of {names}")
    models = _models(event, around)
    job = Job(around.cache, str(event.get("job") or uuid.uuid4().hex), action, remaining_s)
    log("began", job=job.document["job"], action=action, models=[model.key for model in models])
    with job.running():
        if action == "prune":
            _one(lambda: prune_cache(around, models, event), "cache", job)
        else:
            for model in models:
                _one(partial(ACTIONS[action], around, model, job), model.key, job)
        job.document["state"] = _state(job)
    log("ended", job=job.document["job"], action=action, state=job.document["state"])
    return job.document


def _one(act: Callable[[], dict[str, Any]], key: str, job: Job) -> None:
    """Run `act` for the model `key` and note how it ended; one model's fault leaves the others alone."""
    try:
        job.check()
        job.progress(key, result=act(), phase="done", note="")
    except (OutOfTime, Stopped):
        left = _left(job.document["models"].get(key, {}))
        job.progress(key, phase="incomplete", left=left)
        log("out of time", model=key, left=left)
    except WarmupError as error:
        job.progress(key, phase="failed", error={"kind": error.kind, "message": str(error)})
        log("failed", model=key, kind=error.kind, message=str(error))
    except Exception as error:  # noqa: BLE001 - the edge: the command shows the id, the log the traceback
        fault_id = uuid.uuid4().hex[:12]
        message = f"{type(error).__name__}: {error} (id {fault_id} in the warm-up's log)"
        job.progress(key, phase="failed", error={"kind": "bug", "message": message})
        log("bug", model=key, id=fault_id, traceback=traceback.format_exc())


def _left(progress: Mapping[str, Any]) -> str:
    """Where the next invocation goes on."""
    if progress.get("phase") == "fetch":
        return f"fetch: {progress['bytes_total'] - progress['bytes_done']:,} bytes"
    return str(progress.get("note") or progress.get("phase") or "everything")


def _state(job: Job) -> str:
    phases = {progress["phase"] for progress in job.document["models"].values()}
    if "failed" in phases:
        return "failed" if "incomplete" not in phases else "incomplete"
    return "incomplete" if "incomplete" in phases else "done"


def _status(event: Mapping[str, Any], around: Surroundings) -> dict[str, Any]:
    if "jobs" in event:
        names = [str(name) for name in event["jobs"]]
        return {"jobs": {name: read_job(around.cache, name) or {"state": "unknown"} for name in names}}
    if event.get("job"):
        return read_job(around.cache, str(event["job"])) or {"job": event["job"], "state": "unknown"}
    return status(around.cache, _models(event, around))


def _models(event: Mapping[str, Any], around: Surroundings) -> tuple[Model, ...]:
    return models_of_event(event["models"]) if event.get("models") else read_models(around.scripts)


def _clock(context: Any) -> Callable[[], float]:
    if hasattr(context, "get_remaining_time_in_millis"):
        return lambda: float(context.get_remaining_time_in_millis()) / 1000
    return lambda: WITHOUT_CONTEXT_SECONDS
