"""Exporting models of images: one graph from pixels to what the task's answers are read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoImageProcessor, BaseImageProcessor, PreTrainedModel

from hf_lambda.onnx_engine.contract import write_contract
from hf_lambda.onnx_engine.vision.pixels import PixelMaker
from hf_lambda.tasks import AUTO_CLASSES

from .. import loading
from ..families import VISION
from ..loading import load_config
from ..onnx.torch_export import export_graph
from ..request import NotPrepared, PrepareRequest
from . import reference, zero_shot
from .contract import contract_of
from .graphs import make_traceable
from .recipe import recipe_of
from .samples import pictures_of

_OUTPUTS = {"object-detection": ("logits", "pred_boxes"), "depth-estimation": ("predicted_depth",)}
_ANY_SIZE = (
    "conditional_detr",
    "depth_anything",
    "detr",
    "glpn",
    "mobilevit",
    "resnet",
    "segformer",
    "table-transformer",
    "yolos",
)
"""Families whose graphs take pictures of any size: nothing in them was computed for one."""


def export(request: PrepareRequest, work: Path) -> None:
    """Write `export/model.onnx` with weights, serving.json and transformers' answers to the samples.

    Raises NotPrepared for a family or an image processor that would not come out the same.
    """
    snapshot, folder = request.snapshot, work / "export"
    config = load_config(snapshot)
    known = VISION[request.head]
    if config.model_type not in known:
        names = ", ".join(known)
        raise NotPrepared(
            f"{config.model_type} models are not prepared for {request.task}; these are: {names}"
        )
    transformers.utils.logging.disable_progress_bar()
    pictures = pictures_of(request)
    recipe = recipe_of(load_processor(snapshot), pictures)
    if request.head == "zero-shot-image-classification":
        zero_shot.export(request, work, recipe, load_model(snapshot, AUTO_CLASSES[request.head]))
        return
    if not recipe.is_fixed and config.model_type not in _ANY_SIZE:
        raise NotPrepared(
            f"this model looks at pictures of many sizes; the graph of {config.model_type} models is for one"
        )
    make_pixels = PixelMaker(recipe)
    pixels = [make_pixels(picture) for picture in pictures]
    model = load_model(snapshot, AUTO_CLASSES[request.head])
    outputs = _outputs(request.head, model, pixels[0])
    reference.write(work, model, pixels, outputs)
    axes: dict[str, dict[int, str]] = {name: {0: "batch"} for name in ("pixel_values", *outputs)}
    if not recipe.is_fixed:
        axes["pixel_values"] |= {2: "height", 3: "width"}
        if request.head == "depth-estimation":
            axes["predicted_depth"] |= {1: "deep", 2: "wide"}
    example = torch.from_numpy(np.stack([pixels[0], pixels[0][:, ::-1].copy()]))
    make_traceable(model, example, is_fixed=recipe.is_fixed)
    export_graph(
        _Traced(model, outputs).eval(), {"pixel_values": example}, outputs, axes, folder / "model.onnx"
    )
    write_contract(contract_of(request.head, config, recipe, outputs, folder / "model.onnx"), folder)


def load_processor(snapshot: Path) -> BaseImageProcessor:
    """Raises NotPrepared where only torchvision prepares the images."""
    try:
        return AutoImageProcessor.from_pretrained(
            snapshot, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except (ImportError, ValueError, OSError) as problem:
        first = str(problem).partition("\n")[0][:200]
        raise NotPrepared(f"its image processor cannot be loaded without torchvision: {first}") from problem


def load_model(snapshot: Path, auto_class: str) -> PreTrainedModel:
    """fp32 on the CPU, with attention that the tracer can follow where the model has a choice of it."""
    auto = getattr(transformers, auto_class)
    try:
        return loading.load_model(auto, snapshot, attn_implementation="eager")
    except ValueError:  # a network without attention
        return loading.load_model(auto, snapshot)


def _outputs(head: str, model: PreTrainedModel, pixels: NDArray[Any]) -> tuple[str, ...]:
    if head != "image-feature-extraction":
        return _OUTPUTS.get(head, ("logits",))
    with torch.no_grad():
        result = model(torch.from_numpy(pixels[None]))
    return tuple(name for name in ("last_hidden_state", "pooler_output") if result.get(name) is not None)


class _Traced(torch.nn.Module):
    """Pixels in, tensors out, as tracing needs it."""

    def __init__(self, model: PreTrainedModel, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self._outputs = model, tuple(outputs)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.model(pixel_values)
        return tuple(result[name] for name in self._outputs)
