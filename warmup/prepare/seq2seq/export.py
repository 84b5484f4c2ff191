"""Exports an encoder-decoder model: one encoder graph and one decoder step that serves every step."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from ..families import SEQ2SEQ
from ..loading import check_family, load_model, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import PrepareRequest
from . import reference
from .contract import write_tokenizer_and_contract
from .graphs import DecoderGraph, EncoderGraph, attentions_of, compute_positions


def export(request: PrepareRequest, work: Path) -> None:
    """Write encoder.onnx and decoder.onnx with weights, tokenizer.json and serving.json into `export/`.

    transformers' answers to the gate's samples are in the folder above.
    Raises NotPrepared for a family, a tokenizer or a generation option that would not come out the same.
    """
    check_family(request, SEQ2SEQ)
    model = load_model(AutoModelForSeq2SeqLM, request.snapshot, attn_implementation="eager")
    tokenizer = load_tokenizer(request.snapshot)
    folder = work / "export"
    contract = write_tokenizer_and_contract(folder, request, tokenizer, model)
    reference.write(request, work, tokenizer, model, contract)
    compute_positions(model)
    export_encoder(model, folder / "encoder.onnx")
    export_decoder(model, folder / "decoder.onnx")


def export_encoder(model: PreTrainedModel, path: Path) -> None:
    batch = {0: "batch", 1: "source"}
    outputs = [f"cross_{part}_{layer}" for layer in range(len(attentions_of(model))) for part in "kv"]
    ids = torch.full((2, 5), 5)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    axes = dict.fromkeys(inputs, batch)
    for layer in range(len(outputs) // 2):
        axes |= cross_axes(layer)
    export_graph(EncoderGraph(model).eval(), inputs, outputs, axes, path)


def export_decoder(model: PreTrainedModel, path: Path) -> None:
    """Changes `model`: its decoder's attention is replaced, so export the encoder first."""
    module = DecoderGraph(model).eval()
    # Sizes that differ from each other and from 0 and 1: the tracer shall take none of them for a constant.
    batch, beams, source, past = 2, 3, 5, 4
    rows = batch * beams
    inputs = {
        "input_ids": torch.full((rows, 1), 5),
        "beam_idx": torch.arange(rows),
        "encoder_attention_mask": torch.ones((batch, source), dtype=torch.int64),
    }
    axes: dict[str, dict[int, str]] = {name: {0: "rows"} for name in ("input_ids", "beam_idx", "logits")}
    axes["encoder_attention_mask"] = {0: "batch", 1: "source"}
    outputs = ["logits"]
    for layer, own in enumerate(module.self_attentions):
        size = own.k.out_features // own.heads
        for part in "kv":
            inputs[f"past_{part}_{layer}"] = torch.zeros(rows, own.heads, past, size)
            axes[f"past_{part}_{layer}"] = {0: "past_rows", 2: "past"}
        inputs[f"cross_k_{layer}"] = torch.zeros(batch, own.heads, source, size)
        inputs[f"cross_v_{layer}"] = torch.zeros(batch, own.heads, size, source)
        axes |= cross_axes(layer)
        for part in "kv":
            outputs.append(f"new_{part}_{layer}")
            axes[f"new_{part}_{layer}"] = {0: "rows", 2: "now"}
    export_graph(module, inputs, outputs, axes, path)


def cross_axes(layer: int) -> dict[str, dict[int, str]]:
    return {f"cross_k_{layer}": {0: "batch", 2: "source"}, f"cross_v_{layer}": {0: "batch", 3: "source"}}
