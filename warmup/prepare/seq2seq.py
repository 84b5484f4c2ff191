"""Exports an encoder-decoder model: one encoder graph and one decoder step that serves every step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from .seq2seq_graphs import DecoderGraph, EncoderGraph, attentions_of
from .seq2seq_onnx import write_onnx

FAMILIES = ("bart", "mbart", "pegasus", "t5", "mt5", "marian", "m2m_100")
"""`model_type` of what is exported; NLLB is an m2m_100."""

GRAPHS = ("encoder", "decoder")


def export(snapshot: Path, task: str, work_dir: Path, *, graph: str | None = None) -> None:
    """Write encoder.onnx and decoder.onnx (fp32, each with its .data) into `work_dir`; `graph` names one alone."""
    for name in GRAPHS if graph is None else (graph,):
        model = load_model(snapshot)
        (_write_encoder if name == "encoder" else _write_decoder)(model, work_dir / f"{name}.onnx")
        del model


def load_model(snapshot: Path) -> Any:
    """The model as transformers loads it, fp32 on the CPU, with attention that the tracer can follow."""
    config = AutoConfig.from_pretrained(snapshot)
    model = AutoModelForSeq2SeqLM.from_pretrained(
        snapshot, config=config, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    return model.eval()


def graph_names(layers: int) -> dict[str, list[str]]:
    """Names of the tensors: the decoder's `past_*` of a step are its `new_*` of the step before."""
    return {
        "cross": [f"cross_{part}_{layer}" for layer in range(layers) for part in "kv"],
        "past": [f"past_{part}_{layer}" for layer in range(layers) for part in "kv"],
        "new": [f"new_{part}_{layer}" for layer in range(layers) for part in "kv"],
    }


def _write_encoder(model: Any, path: Path) -> None:
    names = graph_names(len(attentions_of(model)))
    batch = {0: "batch", 1: "source"}
    ids = torch.full((2, 5), 5)
    write_onnx(
        EncoderGraph(model).eval(),
        (ids, torch.ones_like(ids)),
        path,
        inputs={"input_ids": batch, "attention_mask": batch},
        outputs={name: {0: "batch", 2: "source"} for name in names["cross"]},
    )


def _write_decoder(model: Any, path: Path) -> None:
    module = DecoderGraph(model).eval()
    names = graph_names(len(module.selfs))
    # Sizes that differ from each other and from 0 and 1, so that the tracer takes none of them for a constant.
    batch, beams, source, past = 2, 3, 5, 4
    inputs: dict[str, dict[int, str]] = {
        "input_ids": {0: "rows"},
        "beam_idx": {0: "rows"},
        "encoder_attention_mask": {0: "batch", 1: "source"},
    }
    arguments = [
        torch.full((batch * beams, 1), 5),
        torch.arange(batch * beams),
        torch.ones(batch, source).long(),
    ]
    for layer, own in enumerate(module.selfs):
        size = own.k.out_features // own.heads
        for part in "kv":
            inputs[f"past_{part}_{layer}"] = {0: "past_rows", 2: "past"}
            arguments.append(torch.zeros(batch * beams, own.heads, past, size))
        for part in "kv":
            inputs[f"cross_{part}_{layer}"] = {0: "batch", 2: "source"}
            arguments.append(torch.zeros(batch, own.heads, source, size))
    outputs = {"logits": {0: "rows"}, **{name: {0: "rows", 2: "now"} for name in names["new"]}}
    write_onnx(module, arguments, path, inputs=inputs, outputs=outputs)
