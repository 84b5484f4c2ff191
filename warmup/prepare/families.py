"""Which families of models the warm-up prepares for a task. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from hf_lambda.ranking import is_judge
from hf_lambda.tasks import TORCH_ONLY, base_of, head_of

from .decoder.families import FAMILIES as LANGUAGE_MODELS
from .encoder.families import ENCODER_DECODERS
from .encoder.families import FAMILIES as ENCODERS
from .seq2seq.families import FAMILIES as SEQ2SEQ
from .sound.families import FAMILIES as SOUND
from .vision.families import FAMILIES as VISION
from .vision.families import IMAGE_TO_TEXT, unprepared_part


def families_of(task: str) -> tuple[str, ...]:
    """`model_type`s that the warm-up prepares for `task`; empty where it is torch's alone."""
    head = head_of(task)
    if base_of(task) in TORCH_ONLY:
        return ()
    if head in VISION:
        return VISION[head]
    if head in SOUND:
        return SOUND[head]
    if head == "image-to-text":
        return IMAGE_TO_TEXT
    if head == "seq2seq-lm":
        return tuple(sorted(SEQ2SEQ))
    if head == "causal-lm":
        return tuple(sorted(LANGUAGE_MODELS))
    if head == "sequence-classification":
        known = ENCODERS | ENCODER_DECODERS
        return tuple(sorted(known.union(LANGUAGE_MODELS) if base_of(task) == "text-ranking" else known))
    return tuple(sorted(ENCODERS.union(LANGUAGE_MODELS if head == "feature-extraction" else ())))


def reason_against(task: str, config: Mapping[str, object]) -> str | None:
    """Why a model with this config.json is not prepared for `task`; None: it is, if its files agree."""
    family, families = str(config.get("model_type") or ""), families_of(task)
    if base_of(task) in TORCH_ONLY:
        return f"models for {base_of(task)} are not prepared"
    if base_of(task) == "text-ranking" and not is_judge(config):
        # It has a head of its own, and these rank by what they say.
        families = tuple(each for each in families if each not in LANGUAGE_MODELS)
    if family not in families:
        known = ", ".join(families)
        return f"{family or 'such'} models are not prepared for {base_of(task)}; these are: {known}"
    return unprepared_part(config) if family in IMAGE_TO_TEXT else None
