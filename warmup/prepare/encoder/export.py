"""Exporting encoders: one graph from tokens to logits or hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_lambda.errors import no_entailment
from hf_lambda.onnx_engine.contract import MASK_INDEX_INPUT, write_contract
from hf_lambda.ranking import not_a_ranker
from hf_lambda.tasks import AUTO_CLASSES

from ...protocol.errors import ErrorKind
from ..families import ENCODER_DECODERS, ENCODERS
from ..loading import check_family, load_model, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import PrepareFailed, PrepareRequest
from . import reference
from .contract import contract_of, with_embedding, with_ranking, write_tokenizer
from .graphs import EncoderGraph

_OUTPUTS = {
    "question-answering": ("start_logits", "end_logits"),
    "feature-extraction": ("last_hidden_state",),
}
_OUTPUT_AXES = {"sequence-classification": {0: "batch"}, "masked-lm": {0: "batch", 1: "masks"}}


def export(request: PrepareRequest, work: Path) -> None:
    """Write `export/model.onnx` with weights, tokenizer.json, serving.json and transformers' answers.

    Raises NotPrepared for a family that is not known to come out right.
    """
    head = request.head
    families = ENCODERS | ENCODER_DECODERS if head == "sequence-classification" else ENCODERS
    check_family(request, families)
    # Eager attention: the graph of the other kinds scales both factors and, for MPNet and DeBERTa, is wrong.
    auto_class = getattr(transformers, AUTO_CLASSES[head])
    model = load_model(auto_class, request.snapshot, attn_implementation="eager")
    tokenizer = load_tokenizer(request.snapshot)
    config = model.config
    if request.task == "zero-shot-classification" and (error := no_entailment(config.label2id)):
        raise PrepareFailed(error.message, ErrorKind.UNTRAINED_HEAD)
    inputs = _inputs(tokenizer, model, head)
    outputs = _OUTPUTS.get(head, ("logits",))
    folder = work / "export"
    write_tokenizer(folder, tokenizer)
    contract = contract_of(head, tokenizer, config, inputs)
    if head == "feature-extraction":
        contract = with_embedding(contract, request.snapshot, folder)
    if head == "sequence-classification":
        contract = with_ranking(contract, request.snapshot)
        if request.task == "text-ranking" and contract.ranking is None:
            reason = not_a_ranker(str(contract.ranking_problem)).message
            raise PrepareFailed(reason, ErrorKind.UNTRAINED_HEAD)
    write_contract(contract, folder)
    reference.write(request, work, tokenizer, model, inputs, outputs)
    axes = {name: {0: "batch", 1: "masks" if name == MASK_INDEX_INPUT else "sequence"} for name in inputs}
    axes |= dict.fromkeys(outputs, _OUTPUT_AXES.get(head, {0: "batch", 1: "sequence"}))
    graph = EncoderGraph(model, inputs, outputs).eval()
    export_graph(graph, _example(tokenizer, inputs), outputs, axes, folder / "model.onnx")


def _inputs(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, head: str) -> tuple[str, ...]:
    """As few as possible: segments matter only where pairs can come and the model tells them apart."""
    if head == "masked-lm":
        return ("input_ids", "attention_mask", MASK_INDEX_INPUT)
    pairs = head in ("sequence-classification", "question-answering")
    segments = (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    if pairs and segments and "token_type_ids" in tokenizer.model_input_names:
        return ("input_ids", "attention_mask", "token_type_ids")
    return ("input_ids", "attention_mask")


def _example(tokenizer: PreTrainedTokenizerBase, inputs: Sequence[str]) -> dict[str, torch.Tensor]:
    """A padded batch: neither axis is 1, or the exporter would take it for a constant."""
    texts = ["A first example to trace the model with.", "A second, shorter one."]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    shape = encoded["input_ids"].shape
    encoded[MASK_INDEX_INPUT] = torch.tensor([[1, 2], [2, 3]])
    return {name: encoded.get(name, torch.zeros(shape, dtype=torch.int64)) for name in inputs}
