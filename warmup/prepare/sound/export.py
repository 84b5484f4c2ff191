"""Exporting models of sound: from features to scores, or Whisper's encoder and decoder."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from hf_lambda.onnx_engine.contract import write_contract
from hf_lambda.onnx_engine.sound.features import Features

from ..families import SOUND
from ..loading import check_family, load_config, load_model, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import PrepareRequest
from ..seq2seq.export import cross_axes, export_decoder
from ..seq2seq.graphs import EncoderGraph, attentions_of
from . import contract, reference
from .check import check_options
from .recipe import load_extractor, recipe_of
from .samples import sounds_of


def export(request: PrepareRequest, work: Path) -> None:
    """Write the graphs with weights and serving.json into `export/`, of Whisper tokenizer.json too.

    transformers' answers to the gate's samples are in the folder above.
    Raises NotPrepared for a family, a feature extractor or a tokenizer that would not come out the same.
    """
    check_family(request, SOUND[request.head])
    transformers.utils.logging.disable_progress_bar()
    config, extractor = load_config(request.snapshot), load_extractor(request.snapshot)
    sounds = sounds_of(request, int(extractor.sampling_rate))
    recipe = recipe_of(extractor, config, sounds)
    features = [*map(Features(recipe), sounds)]
    folder = work / "export"
    if request.head == "audio-classification":
        model = _load(request, "AutoModelForAudioClassification")
        made = contract.classifier(request.head, config, recipe)
    elif config.model_type == "whisper":
        model = _load(request, "AutoModelForSpeechSeq2Seq")
        tokenizer = load_tokenizer(request.snapshot)
        made = contract.whisper(request.head, model, recipe, tokenizer)
        check_options(request, made)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
        reference.write_whisper(work, model, features)
        write_contract(made, folder)
        _export_whisper(model, folder)
        return
    else:
        model = _load(request, "AutoModelForCTC")
        made = contract.ctc(request.head, config, recipe, load_tokenizer(request.snapshot))
    reference.write(work, model, features)
    write_contract(made, folder)
    axes = {"features": {0: "batch"}, "logits": {0: "batch"}}
    if recipe.kind == "wave":
        axes["features"][1] = "samples"
        if made.ctc is not None:
            axes["logits"][1] = "steps"
    example = torch.from_numpy(features[0][None])
    export_graph(_Traced(model).eval(), {"features": example}, ["logits"], axes, folder / "model.onnx")


def _load(request: PrepareRequest, auto_class: str) -> PreTrainedModel:
    """fp32 on the CPU, with attention that the tracer can follow and weights that are plain tensors."""
    model = load_model(getattr(transformers, auto_class), request.snapshot, attn_implementation="eager")
    for module in model.modules():
        if parametrize.is_parametrized(module):
            for name in [*module.parametrizations]:
                parametrize.remove_parametrizations(module, name)
    return model


def _export_whisper(model: PreTrainedModel, folder: Path) -> None:
    outputs = [f"cross_{part}_{layer}" for layer in range(len(attentions_of(model))) for part in "kv"]
    axes = {"input_features": {0: "batch"}}
    for layer in range(len(outputs) // 2):
        axes |= cross_axes(layer)
    config = model.config
    example = torch.zeros(2, config.num_mel_bins, 2 * config.max_source_positions)
    inputs = {"input_features": example}
    export_graph(SpeechEncoderGraph(model).eval(), inputs, outputs, axes, folder / "encoder.onnx")
    export_decoder(model, folder / "decoder.onnx")


class SpeechEncoderGraph(EncoderGraph):
    """The spectrogram (B, mels, columns) -> each decoder layer's cross-attention's K and V."""

    def forward(self, input_features: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        return self.crossed(self.encoder(input_features)[0])


class _Traced(torch.nn.Module):
    """Features in, scores out, as tracing needs it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(features).logits
        return logits
