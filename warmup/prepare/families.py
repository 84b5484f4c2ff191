"""Which families of models the warm-up prepares for a task. Standard library only.

A family is a `model_type`, and it stands here once its graphs have been compared with transformers. How
language models differ from each other, whose graphs are written, is said in decoder/families.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from hf_lambda.ranking import is_judge
from hf_lambda.tasks import TORCH_ONLY, base_of, head_of

from .decoder.families import FAMILIES as LANGUAGE_MODELS

ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    ]
)
"""Of texts."""
ENCODER_DECODERS = frozenset(["bart"])
"""Those that classify whole texts by the decoder's state at the last end token: NLI, zero-shot."""
SEQ2SEQ = frozenset({"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5"})
"""NLLB is an m2m_100."""
_WAVES = ("hubert", "wav2vec2", "wavlm")
SOUND = {
    "audio-classification": ("audio-spectrogram-transformer", *_WAVES, "whisper"),
    "automatic-speech-recognition": (*_WAVES, "whisper"),
}
"""By head."""
_OF_IMAGES = (
    "beit",
    "bit",
    "convnext",
    "convnextv2",
    "data2vec-vision",
    "deit",
    "dinov2",
    "dinov2_with_registers",
    "efficientnet",
    "focalnet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilevit",
    "pvt_v2",
    "regnet",
    "resnet",
    "swin",
    "swinv2",
    "vit",
    "vit_msn",
)
VISION = {
    "image-classification": _OF_IMAGES,
    "image-feature-extraction": _OF_IMAGES,
    "object-detection": (
        "conditional_detr",
        "d_fine",
        "detr",
        "rt_detr",
        "table-transformer",
        "yolos",
    ),
    "image-segmentation": ("dpt", "mobilenet_v2", "mobilevit", "segformer", "upernet"),
    "depth-estimation": ("depth_anything", "dpt", "glpn"),
    "zero-shot-image-classification": ("chinese_clip", "clip", "siglip"),
}
"""By head."""
IMAGE_TO_TEXT = ("vision-encoder-decoder",)
_PART_ENCODERS, _PART_DECODERS = ("beit", "deit", "donut-swin", "swin", "vit"), ("mbart", "trocr")
"""Of the two parts of such a model."""


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


def unprepared_part(config: Mapping[str, object]) -> str | None:
    """Why a vision encoder-decoder of this config.json is not exported; None: its parts are known ones."""
    for part, known in (("encoder", _PART_ENCODERS), ("decoder", _PART_DECODERS)):
        inner = config.get(part)
        family = inner.get("model_type") if isinstance(inner, Mapping) else None
        if family not in known:
            what = f"a {family}" if family else "of no model_type"
            return f"its {part} is {what}; prepared are {', '.join(known)}"
    return None
