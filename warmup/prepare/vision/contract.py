"""What serving needs to know of a model of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_lambda.onnx_engine.vision.contract import Recipe, VisionContract

from ..onnx import weights

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_RULES = {"conditional_detr": "focal-100", "d_fine": "focal", "rt_detr": "focal"}
_CONVOLUTIONS = 8
"""From so many on their layout is worth choosing while the session opens."""


def contract_of(
    head: str, config: PreTrainedConfig, recipe: Recipe, outputs: Sequence[str], graph: Path
) -> VisionContract:
    """`graph` is written already: it says whether it is convolutions."""
    labels = [config.id2label[index] for index in range(config.num_labels)] if config.id2label else []
    return VisionContract(
        head=head,
        model_type=config.model_type,
        recipe=recipe,
        outputs=tuple(outputs),
        labels=tuple(labels),
        problem_type=config.problem_type,
        rule=_RULES.get(config.model_type, "softmax") if head == "object-detection" else "",
        layout=_is_convolutional(graph),
    )


def _is_convolutional(graph: Path) -> bool:
    nodes = weights.nodes(weights.load_graph(graph).graph)
    return len([node for node in nodes if node.op_type == "Conv"]) >= _CONVOLUTIONS
