"""Answering with transformers on torch: everything that transformers can load, and what it dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..media.inputs import KINDS
from ..remote_code import Consent
from ..sentence_embedding import static_folder
from ..tasks import base_of, head_of

if TYPE_CHECKING:
    from ..engines import Engine


def load(task: str, snapshot: Path, consent: Consent | None = None) -> Engine:
    """Load the model in folder `snapshot` for `task`, offline; with `consent` by its repository's own code.

    Raises EngineUnavailable where nothing else could load it.
    """
    from .code import check_code, consent_to_code

    with consent_to_code(consent):
        check_code(snapshot)
        return _load(task, snapshot)


def _load(task: str, snapshot: Path) -> Engine:
    base = base_of(task)
    if head_of(task) == "seq2seq-lm":
        from .seq2seq import Seq2Seq

        return Seq2Seq(task, snapshot)
    if base == "question-answering":
        from .question_answering import QuestionAnswering

        return QuestionAnswering(snapshot)
    if base == "feature-extraction" and (folder := static_folder(snapshot)) is not None:
        from .static import load_static

        return load_static(snapshot, folder)
    if base == "feature-extraction":
        from .feature_extraction import FeatureExtraction

        return FeatureExtraction(snapshot)
    if base == "text-ranking":
        from .text_ranking import TextRanking

        return TextRanking(snapshot)
    if base == "image-to-text":
        from .image_to_text import ImageToText

        return ImageToText(snapshot)
    if base in KINDS or base == "text-to-audio":
        from .media import MediaPipeline

        return MediaPipeline(base, snapshot)
    from .pipelines import TransformersPipeline

    return TransformersPipeline(task, snapshot)
