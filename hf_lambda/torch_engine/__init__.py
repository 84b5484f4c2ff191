"""Answering with transformers on torch: everything that transformers can load, and what it dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..media.inputs import KINDS
from ..tasks import base_of, head_of

if TYPE_CHECKING:
    from ..engines import Engine


def load(task: str, snapshot: Path) -> Engine:
    """Load the model in folder `snapshot` for `task`, offline."""
    base = base_of(task)
    if head_of(task) == "seq2seq-lm":
        from .seq2seq import Seq2Seq

        return Seq2Seq(task, snapshot)
    if base == "question-answering":
        from .question_answering import QuestionAnswering

        return QuestionAnswering(snapshot)
    if base == "feature-extraction":
        from .feature_extraction import FeatureExtraction

        return FeatureExtraction(snapshot)
    if base in KINDS or base == "text-to-audio":
        from .media import MediaPipeline

        return MediaPipeline(base, snapshot)
    from .pipelines import TransformersPipeline

    return TransformersPipeline(task, snapshot)
