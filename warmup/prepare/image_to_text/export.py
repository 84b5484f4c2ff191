"""Exporting TrOCR, Donut and their like: one graph from pixels to keys and values, one decoder step."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_lambda.onnx_engine.contract import write_contract
from hf_lambda.onnx_engine.generation.options import InvalidOptionError, UnsupportedOptionError, resolve
from hf_lambda.onnx_engine.tokenizer import load_tokenizer as load_served
from hf_lambda.onnx_engine.vision.contract import ImageToTextContract, Recipe
from hf_lambda.onnx_engine.vision.image_to_text import written
from hf_lambda.onnx_engine.vision.pixels import PixelMaker
from hf_lambda.torch_engine.image_to_text import fill_positions
from hf_lambda.torch_engine.loading import max_position

from ..families import IMAGE_TO_TEXT, unprepared_part
from ..loading import check_family, load_model, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import NotPrepared, PrepareRequest, config_of
from ..samples import LONG, SENTENCES
from ..seq2seq.export import cross_axes, export_decoder
from ..seq2seq.graphs import EncoderGraph, attentions_of
from ..seq2seq.tokenizer import served_tokenizer
from ..vision.export import load_processor
from ..vision.graphs import make_traceable
from ..vision.recipe import recipe_of
from ..vision.samples import pictures_of
from . import reference


def export(request: PrepareRequest, work: Path) -> None:
    """Write encoder.onnx and decoder.onnx with weights, tokenizer.json and serving.json into `export/`.

    transformers' answers to the gate's samples are in the folder above.
    Raises NotPrepared for parts, an image processor, a tokenizer or a generation option that would not come
    out the same.
    """
    check_family(request, IMAGE_TO_TEXT)
    if reason := unprepared_part(config_of(request.snapshot)):
        raise NotPrepared(reason)
    folder = work / "export"
    transformers.utils.logging.disable_progress_bar()
    pictures = pictures_of(request)
    recipe = recipe_of(load_processor(request.snapshot), pictures)
    if not recipe.is_fixed:
        raise NotPrepared("this model looks at pictures of many sizes, and its graph is for one")
    model = load_model(transformers.VisionEncoderDecoderModel, request.snapshot, attn_implementation="eager")
    fill_positions(model)
    contract = _contract(request, model, recipe, folder)
    write_contract(contract, folder)
    pixels = [*map(PixelMaker(recipe), pictures)]
    reference.write(work, model, pixels, contract)
    # Both decoders are BART's, with a language model's head around them.
    model.get_decoder = lambda: model.decoder.model.decoder
    _export_encoder(model, torch.from_numpy(pixels[0][None]).repeat(2, 1, 1, 1), folder / "encoder.onnx")
    if hasattr(model, "enc_to_dec_proj"):
        model.enc_to_dec_proj = nn.Identity()  # the encoder's graph has it
    export_decoder(model, folder / "decoder.onnx")


def _contract(
    request: PrepareRequest, model: PreTrainedModel, recipe: Recipe, folder: Path
) -> ImageToTextContract:
    tokenizer = load_tokenizer(request.snapshot)
    served, size = served_tokenizer(tokenizer)
    if size is not None:
        raise NotPrepared(f"{type(tokenizer).__name__} has pieces that are not the model's")
    (folder / "tokenizer.json").write_text(served.to_str())
    generation = model.generation_config.to_dict()
    contract = ImageToTextContract(
        head=request.head,
        model_type=model.config.model_type,
        recipe=recipe,
        vocabulary=model.decoder.get_output_embeddings().out_features,
        max_position=max_position(model.decoder),
        generation={name: value for name, value in generation.items() if value is not None},
        starts_with_prompt="donut" in model.config.encoder.model_type,
        cleanup=bool(tokenizer.clean_up_tokenization_spaces),
    )
    try:
        resolve(contract.generation, {}, max_position=contract.max_position)
    except (UnsupportedOptionError, InvalidOptionError) as error:
        raise NotPrepared(f"{request.repo_id} ships what the decoding loop does not do: {error}") from error
    _check_tokenizer(folder, contract, tokenizer)
    return contract


def _check_tokenizer(folder: Path, contract: ImageToTextContract, tokenizer: PreTrainedTokenizerBase) -> None:
    """The served tokenizer must read prompts, and put texts together, as transformers' does."""
    served, name = load_served(folder), type(tokenizer).__name__
    for sample in [*SENTENCES, LONG, " two  spaces ", "a\n\nb", "a , b . It 's"]:
        ids = list(tokenizer(sample, add_special_tokens=False)["input_ids"])
        if served.encode(sample, add_special_tokens=False).ids != ids:
            raise NotPrepared(f"the served tokenizer splits {sample[:40]!r} otherwise than {name}")
        if written(ids, served, contract) != tokenizer.decode(ids, skip_special_tokens=True):
            raise NotPrepared(f"the served tokenizer puts {sample[:40]!r} together otherwise than {name}")


def _export_encoder(model: PreTrainedModel, example: torch.Tensor, path: Path) -> None:
    make_traceable(model.encoder, example, is_fixed=True)
    outputs = [f"cross_{part}_{layer}" for layer in range(len(attentions_of(model))) for part in "kv"]
    axes = {"pixel_values": {0: "batch"}}
    for layer in range(len(outputs) // 2):
        axes |= cross_axes(layer)
    export_graph(ImageEncoderGraph(model).eval(), {"pixel_values": example}, outputs, axes, path)


class ImageEncoderGraph(EncoderGraph):
    """Pixels (B, 3, height, width) -> each decoder layer's cross-attention's K and V."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.bridge = getattr(model, "enc_to_dec_proj", None) or nn.Identity()

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        return self.crossed(self.bridge(self.encoder(pixel_values)[0]))
