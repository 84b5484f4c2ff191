"""What the warm-up Lambda can be asked to do with a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import WarmupError
from ..models import Model, read_models
from .jobs import Job
from .source import Source


class Surroundings:
    """What the environment variables say: where cache and scripts are, where models come from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.cache = Path(environ.get("MODEL_CACHE") or "/mnt/hf_models_cache")
        self.scripts = Path(environ.get("LAMBDA_TASK_ROOT") or Path.cwd())

    def source(self, note: Callable[[str], None]) -> Source:
        """The staging bucket where the stack has one, else the Hub. `note` is told of waits."""
        if bucket := self.environ.get("STAGING_BUCKET"):
            from .staging import StagedSource

            return StagedSource(bucket)
        from .hub import HubSource

        return HubSource(self.environ.get("HF_ENDPOINT"), read_token(self.environ), note)


def read_token(environ: Mapping[str, str]) -> str | None:
    """The Hub token from Secrets Manager where HF_TOKEN_SECRET_ARN names it, else HF_TOKEN."""
    arn = environ.get("HF_TOKEN_SECRET_ARN")
    if not arn:
        return environ.get("HF_TOKEN") or None
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        region = arn.split(":")[3]
        value = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as error:
        raise WarmupError(
            "token unreadable",
            f"cannot read the Hub token from {arn} ({type(error).__name__}). Check its role and egress.",
        ) from error
    return value["SecretString"].strip() or None


def _source(around: Surroundings, model: Model, job: Job) -> Source:
    return around.source(lambda note: job.progress(model.key, note=note))


def _warm(around: Surroundings, model: Model, job: Job) -> dict[str, Any]:
    from .warm import warm

    return warm(model, around.cache, _source(around, model, job), job)


def _plan(around: Surroundings, model: Model, job: Job) -> dict[str, Any]:
    from .fetch import plan
    from .verify import is_there

    commit, files, _ = plan(model, _source(around, model, job), job)
    cached = [is_there(around.cache, model.model, commit, file) for file in files]
    listed = [
        {"path": file.path, "size": file.size, "cached": there}
        for file, there in zip(files, cached, strict=True)
    ]
    missing = sum(file.size for file, there in zip(files, cached, strict=True) if not there)
    total = sum(file.size for file in files)
    return {"model": model.model, "commit": commit, "files": listed, "bytes": total, "missing_bytes": missing}


def _fetch(around: Surroundings, model: Model, job: Job) -> dict[str, Any]:
    from .warm import fetch_alone

    snapshot = fetch_alone(model, around.cache, _source(around, model, job), job)
    return {
        "model": model.model,
        "commit": snapshot.commit,
        "files": len(snapshot.files),
        "bytes": snapshot.bytes,
    }


def _prepare(around: Surroundings, model: Model, job: Job) -> dict[str, Any]:
    from .publish import published, snapshot_of
    from .warm import prepare_and_publish

    manifest = published(around.cache, model)
    if manifest is None:
        raise WarmupError("cold", f"{model.key} is not in the cache: warm it first")
    return prepare_and_publish(model, around.cache, snapshot_of(around.cache, manifest), job)


def _verify(around: Surroundings, model: Model, job: Job) -> dict[str, Any]:
    from .status import verify

    return verify(around.cache, model, job)


def prune_cache(around: Surroundings, models: Sequence[Model], event: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps what `models` or the deployed scripts use. `only` and `dry_run` are keys of the event."""
    from .prune import prune

    deployed = read_models(around.scripts) if around.scripts.is_dir() else ()
    used = [(model.model, model.revision) for model in (*models, *deployed)]
    return asdict(prune(around.cache, used, only=event.get("only"), dry_run=bool(event.get("dry_run"))))


# Imports are inside: a poll for status must not pay for the Hub's client.
ACTIONS: dict[str, Callable[[Surroundings, Model, Job], dict[str, Any]]] = {
    "warm": _warm,
    "plan": _plan,
    "fetch": _fetch,
    "prepare": _prepare,
    "verify": _verify,
}
