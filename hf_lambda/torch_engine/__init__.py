"""Answering with transformers on torch: everything that transformers can load, and what it dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..media.inputs import KINDS
from ..tasks import base_of, head_of

Engine = Callable[..., list[Any]]
"""Takes a list of inputs and keyword parameters, returns a list with one result per input."""


def load(task: str, snapshot: Path, **options: Any) -> Engine:
    """Load the model in folder `snapshot` for `task`, offline; `options` are defaults of call parameters."""
    base = base_of(task)
    if head_of(task) == "seq2seq-lm":
        from .seq2seq import Seq2Seq

        return Seq2Seq(task, snapshot, options)
    if base == "question-answering":
        from .question_answering import QuestionAnswering

        return QuestionAnswering(snapshot, options)
    if base == "feature-extraction":
        from .feature_extraction import FeatureExtraction

        return FeatureExtraction(snapshot, options)
    if base in KINDS or base == "text-to-audio":
        from .media import MediaPipeline

        return MediaPipeline(base, snapshot, options)
    from .pipelines import Wrapped

    return Wrapped(task, snapshot, options)
