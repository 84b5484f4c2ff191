"""CLIP and SigLIP: a graph for pictures and one for labels, both ending in vectors of length 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hf_lambda.onnx_engine.contract import read_contract, write_contract
from hf_lambda.onnx_engine.vision.contract import Recipe, TextTower, VisionContract
from hf_lambda.onnx_engine.vision.model import VisionModel
from hf_lambda.onnx_engine.vision.pixels import PixelMaker
from hf_lambda.onnx_engine.vision.zero_shot import TEMPLATE, LabelEncoder, scored

from ..encoder.contract import write_tokenizer
from ..loading import load_config, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import Figures, NotPrepared, PrepareRequest, Verdict
from .samples import pictures_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LABELS = (
    "a cat",
    "two dogs",
    "a red disc",
    "a city at night",
    "text",
    "mountains",
    "nothing at all",
    "food",
)
_SIGLIP_TOKENS = 64
"""What transformers' pipeline fills SigLIP's texts up to."""


def export(request: PrepareRequest, work: Path, recipe: Recipe, model: PreTrainedModel) -> None:
    """Write image.onnx, text.onnx, tokenizer.json, serving.json and transformers' own vectors."""
    folder, config = work / "export", load_config(request.snapshot)
    if not recipe.is_fixed:
        raise NotPrepared("this model looks at pictures of many sizes, and its graph is for one")
    tokenizer = load_tokenizer(request.snapshot)
    is_siglip = config.model_type == "siglip"
    options = (
        {"padding": "max_length", "max_length": _SIGLIP_TOKENS, "truncation": True}
        if is_siglip
        else {"padding": True}
    )
    texts = tokenizer([TEMPLATE.format(label) for label in _LABELS], return_tensors="pt", **options)
    inputs = tuple(name for name in ("input_ids", "attention_mask") if name in texts)
    make_pixels = PixelMaker(recipe)
    pixels = np.stack([make_pixels(picture) for picture in pictures_of(request)])
    with torch.no_grad():
        answer = model(pixel_values=torch.from_numpy(pixels), **texts)
    np.savez(
        work / "reference.npz",
        image_embeds=answer.image_embeds.numpy(),
        text_embeds=answer.text_embeds.numpy(),
        logits=answer.logits_per_image.numpy(),
    )
    example = {"pixel_values": torch.from_numpy(pixels[:2])}
    axes = {"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}}
    export_graph(_Images(model).eval(), example, ["image_embeds"], axes, folder / "image.onnx")
    rows = {0: "batch"} if is_siglip else {0: "batch", 1: "tokens"}
    axes = {**dict.fromkeys(inputs, rows), "text_embeds": {0: "batch"}}
    example = {name: texts[name] for name in inputs}
    export_graph(_Texts(model, inputs).eval(), example, ["text_embeds"], axes, folder / "text.onnx")
    write_tokenizer(folder, tokenizer)
    tower = TextTower(
        inputs=inputs,
        pad_id=int(tokenizer.pad_token_id or 0),
        max_length=_SIGLIP_TOKENS if is_siglip else int(config.text_config.max_position_embeddings),
        width=_SIGLIP_TOKENS if is_siglip else None,
        truncate=is_siglip,
        rule="sigmoid" if is_siglip else "softmax",
        scale=float(model.logit_scale.detach().exp()),
        bias=float(model.logit_bias.detach()) if is_siglip else 0.0,
    )
    contract = VisionContract(request.head, config.model_type, recipe, ("image_embeds",), text=tower)
    write_contract(contract, folder)


def check(request: PrepareRequest, work: Path, precision: str) -> Verdict:
    """How far `<work>/<precision>` is from transformers, refused beyond the tolerance of `request`."""
    folder = work / precision
    contract = read_contract(folder)
    assert isinstance(contract, VisionContract)
    assert contract.text is not None
    texts = LabelEncoder(contract.text, folder)([TEMPLATE.format(label) for label in _LABELS])
    images = np.stack(
        [values[0] for _, values in VisionModel(contract, folder, "image.onnx").run(pictures_of(request))]
    )
    with np.load(work / "reference.npz") as wanted:
        pairs = ((images, wanted["image_embeds"]), (texts, wanted["text_embeds"]))
        cosines = [float((got * other).sum(axis=-1).min()) for got, other in pairs]
        raw = max(float(np.abs(got - other).max()) for got, other in pairs)
        theirs = [scored(image, wanted["text_embeds"], contract.text) for image in wanted["image_embeds"]]
    ours = [scored(image, texts, contract.text) for image in images]
    differences = [float(np.abs(got - other).max()) for got, other in zip(ours, theirs, strict=True)]
    figures: Figures = {
        "samples": len(images),
        "cosine": round(min(cosines), 8),
        "probability_difference": round(max(differences), 8),
        **({"raw_difference": round(raw, 8)} if precision == "fp32" else {}),
    }
    return Verdict(figures, _problem(figures, request, precision))


def _problem(figures: Figures, request: PrepareRequest, precision: str) -> str | None:
    tolerance = request.tolerance
    most = tolerance.fp32 if precision == "fp32" else tolerance.probability
    for name in ("raw_difference", "probability_difference"):
        if not figures.get(name, 0.0) <= most:
            return f"{precision}: {name} {figures[name]:.2g}, allowed {most:g}"
    if not figures["cosine"] >= tolerance.cosine:
        return f"{precision}: cosine {figures['cosine']:.4f}, at least {tolerance.cosine:g} is asked"
    return None


class _Images(torch.nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return _unit(self.model.get_image_features(pixel_values=pixel_values).pooler_output)


class _Texts(torch.nn.Module):
    def __init__(self, model: PreTrainedModel, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self._inputs = model, inputs

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        features = self.model.get_text_features(**dict(zip(self._inputs, tensors, strict=True)))
        return _unit(features.pooler_output)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    unit: torch.Tensor = vectors / vectors.norm(p=2, dim=-1, keepdim=True)
    return unit
