"""What a warm-up refuses of a model: kept in the cache, so that endpoints answer with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hf_lambda.atomic import replace_text
from hf_lambda.manifest import RefusedUse, refusal_path, refusals
from hf_lambda.tasks import ALIASES

from ..protocol.errors import WarmupError
from ..protocol.models import ModelRequest, Use


class Refusals:
    """Uses of `model` that the repository cannot serve. The others are served all the same."""

    def __init__(self, model: ModelRequest) -> None:
        self.model = model
        self._errors: list[tuple[Use, WarmupError, str]] = []

    @property
    def found(self) -> tuple[RefusedUse, ...]:
        return tuple(dict.fromkeys(_refused(*each) for each in self._errors))

    def add(self, use: Use, error: WarmupError, commit: str = "") -> None:
        """`commit`: of the repository that was looked at."""
        self._errors.append((use, error, commit))

    def has(self, use: Use) -> bool:
        return any(use == each for each, _, _ in self._errors)

    def others(self, model: ModelRequest) -> ModelRequest:
        """`model` for its other uses. Raises the WarmupError of the first where there is none."""
        uses = tuple(use for use in model.uses if not self.has(use))
        if self._errors and not uses:
            raise self._errors[0][1]
        return replace(model, uses=uses)


@contextmanager
def kept_refusals(cache: Path, model: ModelRequest) -> Iterator[Refusals]:
    """What is refused meanwhile is what endpoints that ask for it answer, until a warm-up takes it back.

    A verdict that is raised is one of every use that is not refused for another reason. After another error
    what earlier warm-ups have refused stays refused.
    """
    found = Refusals(model)
    settled = True
    try:
        yield found
    except WarmupError as error:
        settled = error.kind.is_verdict
        for use in model.uses if settled else ():
            if not found.has(use):
                found.add(use, error)
        raise
    except BaseException:
        settled = False
        raise
    finally:
        _keep(cache, model, found, settled)


def _keep(cache: Path, model: ModelRequest, found: Refusals, settled: bool) -> None:
    if not settled and not found.found:
        return
    known = {(each.task, each.engine, each.requested): each for each in _earlier(cache, model)}
    if settled:
        known.pop(("", "", ""), None)
        for use in model.uses:
            known.pop((_task(use), use.engine, use.requested), None)
    known |= {(each.task, each.engine, each.requested): each for each in found.found}
    path = refusal_path(cache, model.repo_id, model.revision)
    if known:
        document = {"uses": [each.to_json() for each in known.values()]}
        replace_text(path, json.dumps(document), within=cache)
    else:
        path.unlink(missing_ok=True)


def _earlier(cache: Path, model: ModelRequest) -> list[RefusedUse]:
    return refusals(cache, model.repo_id, model.revision)


def _refused(use: Use, error: WarmupError, commit: str) -> RefusedUse:
    return RefusedUse(_task(use), use.engine, use.requested, str(error), commit)


def _task(use: Use) -> str:
    return ALIASES.get(use.task, use.task)
