"""Code of repositories that scripts let run: fetched and pinned like a model."""

from __future__ import annotations

import threading
from pathlib import Path

from hf_lambda.remote_code import code_repositories

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest, Use
from .fetch import fetch
from .jobs import Job
from .locks import lock, repository_lock
from .publish import publish
from .source import ModelSource
from .threads import map_on_threads

CODE_FILES = ("*.py",)


def code_requests(model: ModelRequest, snapshot: Path, source: ModelSource, job: Job) -> list[ModelRequest]:
    """Other repositories that the code of `model` is in, each at its commit; none where no code may run.

    Raises WarmupError where the script does not say which commit.
    """
    if not model.runs_code:
        return []
    others = sorted(code_repositories(snapshot) - {model.repo_id})
    pinned = {use.code_revision for use in model.uses if use.remote_code}
    if others and (len(pinned) != 1 or None in pinned):

        def ask(repo_id: str, stop: threading.Event) -> str:
            return source.resolve(repo_id, None, stop)

        now = map_on_threads(others[:1], ask, workers=1, check=job.check)[0]
        raise WarmupError(
            ErrorKind.REMOTE_CODE,
            f"{model.repo_id} takes its code from {others[0]}, whose commit every script must name too: "
            f'read it and write code_revision="{now}", which it is now',
        )
    (commit,) = pinned or {None}
    return [ModelRequest(other, commit, (Use("feature-extraction", files=CODE_FILES),)) for other in others]


def fetch_code(model: ModelRequest, snapshot: Path, cache: Path, source: ModelSource, job: Job) -> None:
    """Put the code of `model` that other repositories have into the cache, verified; prune keeps it."""
    for request in code_requests(model, snapshot, source, job):
        with lock(repository_lock(cache, request.repo_id), check=job.check, waiting=lambda: None):
            publish(cache, request, fetch(request, cache, source, job), [], [])
