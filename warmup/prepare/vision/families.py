"""Families of models of images that graphs are exported of. Standard library only."""

from __future__ import annotations

_ENCODERS = (
    "beit",
    "convnext",
    "convnextv2",
    "deit",
    "dinov2",
    "efficientnet",
    "mobilenet_v2",
    "mobilevit",
    "resnet",
    "swin",
    "vit",
)
FAMILIES = {
    "image-classification": _ENCODERS,
    "image-feature-extraction": _ENCODERS,
    "object-detection": ("conditional_detr", "detr", "rt_detr", "table-transformer", "yolos"),
    "image-segmentation": ("mobilevit", "segformer"),
    "depth-estimation": ("dpt", "glpn"),
    "zero-shot-image-classification": ("clip", "siglip"),
}
"""`model_type`s by head whose graphs have been compared with transformers."""
