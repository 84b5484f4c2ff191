"""Adapters that are merged into a model: repositories of their own, of which two files are needed."""

from __future__ import annotations

from collections.abc import Iterable

from discovery.hf_lambda_pipeline import ADAPTER_FILES

from ..protocol.models import ModelRequest, Use


def adapter_request(use: Use) -> ModelRequest:
    """What is to be fetched of the adapter that `use` names."""
    needed = Use(use.task, "torch", files=ADAPTER_FILES)
    return ModelRequest(str(use.adapter), use.adapter_revision, (needed,))


def adapter_requests(model: ModelRequest) -> list[ModelRequest]:
    """Of every adapter of `model`, once."""
    return [*{request.key: request for request in map(adapter_request, _adapted(model))}.values()]


def with_adapters(models: Iterable[ModelRequest]) -> tuple[ModelRequest, ...]:
    """`models`, and every adapter of theirs as a model of its own."""
    given = list(models)
    return (*given, *(each for model in given for each in adapter_requests(model)))


def _adapted(model: ModelRequest) -> list[Use]:
    return [use for use in model.uses if use.adapter]
