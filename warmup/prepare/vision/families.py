"""Families of models of images that graphs are exported of. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

_ENCODERS = (
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
FAMILIES = {
    "image-classification": _ENCODERS,
    "image-feature-extraction": _ENCODERS,
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
"""`model_type`s by head whose graphs have been compared with transformers."""
IMAGE_TO_TEXT = ("vision-encoder-decoder",)
ENCODERS, DECODERS = ("beit", "deit", "donut-swin", "swin", "vit"), ("mbart", "trocr")
"""Of image-to-text: `model_type`s of the two parts of such a model."""


def unprepared_part(config: Mapping[str, object]) -> str | None:
    """Why a vision encoder-decoder of this config.json is not exported; None: its parts are known ones."""
    for part, known in (("encoder", ENCODERS), ("decoder", DECODERS)):
        inner = config.get(part)
        family = inner.get("model_type") if isinstance(inner, Mapping) else None
        if family not in known:
            what = f"a {family}" if family else "of no model_type"
            return f"its {part} is {what}; prepared are {', '.join(known)}"
    return None
