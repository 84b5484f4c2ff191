"""Declares a model; loading starts in the background, the first call waits for it."""

from __future__ import annotations

from typing import Any


class Pipeline:
    def __init__(self, task: str, **options: Any) -> None:
        self.task, self.options = task, options

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        raise NotImplementedError


def pipeline(task: str, model: str | None = None, revision: str | None = None, **options: Any) -> Pipeline:
    return Pipeline(task, model=model, revision=revision, **options)
