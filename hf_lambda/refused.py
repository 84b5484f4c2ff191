"""Why a plain script could not load its model, where the warm-up has refused that model and said why.

Such a script calls transformers itself, which knows nothing of the warm-up: its own words end in a missing
file or a Hub that cannot be reached.
"""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from .errors import ColdCache, ServingError
from .manifest import Asked, cache_of, find_manifest, refused_message
from .records import Json
from .repo_id import is_repo_id
from .tasks import ALIASES

_LOADERS = {"transformers", "sentence_transformers", "huggingface_hub", "peft"}
Handler = Callable[..., Json]


def naming_refusals(
    get_handler: Callable[[str], Handler], environ: Mapping[str, str] = os.environ
) -> Callable[[str], Handler]:
    """awslambdaric's `_get_handler`, which then raises ColdCache where a refused model is what a script, at
    its import or in a request, could not load."""

    def get(name: str) -> Handler:
        handler: Handler = naming(get_handler, environ)(name)
        return naming(handler, environ)

    return get


def naming(function: Handler, environ: Mapping[str, str] = os.environ) -> Handler:
    """`function`, which then raises ColdCache where a refused model is what it could not load."""

    @functools.wraps(function)
    def call(*given: Json) -> Json:
        try:
            return function(*given)
        except ServingError:
            raise
        except Exception as error:
            if (reason := _reason(error, environ)) is None:
                raise
            raise ColdCache(reason) from error

    return call


def _reason(error: BaseException, environ: Mapping[str, str]) -> str | None:
    """The refusal of a model that a library was loading when `error` was raised."""
    cache, frames = cache_of(environ), [*_frames(error)]
    asked = Asked(_task(frames), "torch")
    for frame in frames:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LOADERS:
            continue
        known = frame.f_locals
        options = {**_mapping(known, "kwargs"), **known}
        names = [name for name in ("requested_revision", "revision") if name in options]
        revisions = dict.fromkeys(options[name] for name in names) if names else {None: None}
        for name in dict.fromkeys(value for value in known.values() if isinstance(value, str)):
            for revision in (each for each in revisions if each is None or isinstance(each, str)):
                if is_repo_id(name) and (reason := _refusal(cache, name, revision, asked)):
                    return reason
    return None


def _refusal(cache: Path, model: str, revision: str | None, asked: Asked) -> str | None:
    manifest = find_manifest(cache, model, revision)
    return refused_message(cache, model, revision, asked, manifest.commit if manifest else None)


def _task(frames: Iterable[FrameType]) -> str:
    """What `transformers.pipeline` was asked for; "" where a class loads the model."""
    for frame in frames:
        task = frame.f_locals.get("task")
        if frame.f_globals.get("__name__") == "transformers.pipelines" and isinstance(task, str):
            return ALIASES.get(task, task)
    return ""


def _mapping(known: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = known.get(name)
    return found if isinstance(found, dict) else {}


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Of `error` and of what it was raised from, which is where awslambdaric keeps the fault of an import."""
    seen: set[int] = set()
    left: BaseException | None = error
    while left is not None and id(left) not in seen:
        seen.add(id(left))
        yield from (frame for frame, _ in traceback.walk_tb(left.__traceback__))
        left = left.__cause__ or left.__context__
