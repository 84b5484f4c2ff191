"""What the warm-up Lambda can be asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeVar

from hf_lambda.repo_id import is_model_folder, is_repo_id

from .errors import ErrorKind, WarmupError
from .models import ModelRequest, entries_of, models_of_json
from .records import OMIT_DEFAULT, Json, Record, WrongShape, shown


class Action(StrEnum):
    """What to do with models: `warm` is `fetch`, then `prepare`; `plan` and `verify` change nothing.

    `lacks` is `plan` by the content of the cached files. The relay knows `fetch` (into the bucket), `warm`
    (the same, then it starts the warm-up) and `plan`. `try` is for the second warm-up, which loads models by
    their repositories' own code.
    """

    WARM = "warm"
    PLAN = "plan"
    LACKS = "lacks"
    FETCH = "fetch"
    PREPARE = "prepare"
    VERIFY = "verify"
    TRY = "try"
    PRUNE = "prune"
    STATUS = "status"


@dataclass(frozen=True)
class ModelEvent:
    """Warm, plan, fetch, prepare or verify `models`; none: those of the deployed scripts.

    `job` names the progress file, which a JobsEvent reads; the Lambda makes one up where there is none.
    `relay`: what the names of the jobs begin with that bring the models into the bucket meanwhile.
    """

    action: Action = Action.WARM
    models: tuple[ModelRequest, ...] = ()
    job: str | None = None
    relay: str | None = None

    def to_json(self) -> dict[str, Json]:
        relay = {"relay": self.relay} if self.relay else {}
        return {"action": self.action.value, **_models(self.models), **_job(self.job), **relay}


@dataclass(frozen=True)
class PruneEvent:
    """Remove what neither `models` nor the deployed scripts use. `only`: of this repository alone.

    `unseen`: what may load other models, a line each; those stay then, unless `force` says that none does.
    """

    models: tuple[ModelRequest, ...] = ()
    only: str | None = None
    dry_run: bool = False
    job: str | None = None
    unseen: tuple[str, ...] = ()
    force: bool = False

    def to_json(self) -> dict[str, Json]:
        named: dict[str, Json] = {"only": self.only, "dry_run": self.dry_run}
        if self.unseen:
            named["unseen"] = [*self.unseen]
        if self.force:
            named["force"] = True
        return {"action": Action.PRUNE.value, **_models(self.models), **named, **_job(self.job)}


@dataclass(frozen=True)
class JobsEvent:
    """How `jobs` stand. Answered by a JobsAnswer."""

    jobs: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        return {"action": Action.STATUS.value, "jobs": [*self.jobs]}


@dataclass(frozen=True)
class StatusEvent:
    """What the cache holds of `models`; none: of those of the deployed scripts. Answered by a CacheStatus."""

    models: tuple[ModelRequest, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {"action": Action.STATUS.value, **_models(self.models)}


@dataclass(frozen=True)
class ReleaseEvent(Record):
    """For the function that releases: warm, ask and let serve what waits.

    `round`: how many invocations were not enough. `canaries_since`: when the canaries began that one of them
    left under way.
    """

    round: Annotated[int, OMIT_DEFAULT] = 0
    canaries_since: Annotated[float | None, OMIT_DEFAULT] = None


Event = ModelEvent | PruneEvent | JobsEvent | StatusEvent


def event_from_json(raw: Json) -> Event:
    """The event that `raw` is. Raises WarmupError (usage) that names what is wrong with it."""
    if not isinstance(raw, Mapping):
        raise WarmupError(
            ErrorKind.USAGE, f"event: expected an object, got {shown(raw)}. Write {{}} or {_EXAMPLE}"
        )
    name = raw.get("action", Action.WARM.value)
    if not isinstance(name, str) or name not in [*Action]:
        names = ", ".join(Action)
        raise WarmupError(ErrorKind.USAGE, f"action: {shown(name)} is not one of {names}")
    action = Action(name)
    known = _KEYS.get(action, ("action", "models", "job", "relay"))
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"{shown(key)} is not a key of {action.value}. Known are {', '.join(known)}{hint}"
            raise WarmupError(ErrorKind.USAGE, message)
    return _event(action, raw)


def _event(action: Action, raw: Mapping[str, Json]) -> Event:
    if action is Action.STATUS and raw.get("jobs") is not None:
        return JobsEvent(_read(_Jobs, raw).jobs)
    models = () if raw.get("models") is None else models_of_json(raw["models"])
    if action is Action.STATUS:
        return StatusEvent(models)
    if action is Action.PRUNE:
        options = _read(_Prune, raw)
        if options.only is not None and not (is_repo_id(options.only) or is_model_folder(options.only)):
            message = f'only: {shown(options.only)} is not a repository. Write for instance "org/name"'
            raise WarmupError(ErrorKind.USAGE, message)
        return PruneEvent(
            models,
            options.only,
            bool(options.dry_run),
            options.job,
            options.unseen or (),
            bool(options.force),
        )
    named = _read(_Named, raw)
    return ModelEvent(action, models, named.job, named.relay)


_Shape = TypeVar("_Shape", bound=Record)
_EXAMPLE = '{"action": "warm", "models": [{"model": "org/name", "task": "text-classification"}]}'
_KEYS = {
    Action.STATUS: ("action", "models", "jobs"),
    Action.PRUNE: ("action", "models", "only", "dry_run", "job", "unseen", "force"),
}


@dataclass(frozen=True)
class _Jobs(Record):
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class _Named(Record):
    job: str | None = None
    relay: str | None = None


@dataclass(frozen=True)
class _Prune(Record):
    only: str | None = None
    dry_run: bool | None = None
    job: str | None = None
    unseen: tuple[str, ...] | None = None
    force: bool | None = None


def _read(shape: type[_Shape], raw: Mapping[str, Json]) -> _Shape:
    try:
        return shape.from_json(raw)
    except WrongShape as wrong:
        raise WarmupError(ErrorKind.USAGE, f"event: {wrong}. Write for instance {_EXAMPLE}") from wrong


def _models(models: tuple[ModelRequest, ...]) -> dict[str, Json]:
    return {"models": [entry.to_json() for entry in entries_of(models)]}


def _job(job: str | None) -> dict[str, Json]:
    return {"job": job} if job else {}
