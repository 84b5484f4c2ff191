"""Exporting encoders: the module that torch traces, one graph from tokens to logits or hidden states."""

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
from ...protocol.records import Json
from ..families import ENCODER_DECODERS, ENCODERS
from ..loading import check_family, load_model, load_tokenizer
from ..onnx.torch_export import export_graph
from ..request import PrepareFailed, PrepareRequest
from . import reference
from .contract import contract_of, with_embedding, with_ranking, write_tokenizer

_OUTPUTS = {
    "question-answering": ("start_logits", "end_logits"),
    "feature-extraction": ("last_hidden_state",),
}
_OUTPUT_AXES = {"sequence-classification": {0: "batch"}, "masked-lm": {0: "batch", 1: "masks"}}
_ADDITIVE_MASK = frozenset(["albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"])
"""Families that take a finished additive mask: transformers' own way of making one fills the graph."""


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


class EncoderGraph(torch.nn.Module):
    """`model` with positional arguments, which become the graph's `inputs`, and `outputs` as a tuple."""

    def __init__(self, model: PreTrainedModel, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self._inputs, self._outputs = model, tuple(inputs), tuple(outputs)
        self._has_additive_mask = model.config.model_type in _ADDITIVE_MASK
        self._mask_index: torch.Tensor | None = None
        if MASK_INDEX_INPUT in inputs:
            model.base_model.register_forward_hook(self._states_at_masks)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments = dict(zip(self._inputs, tensors, strict=True))
        self._mask_index = arguments.pop(MASK_INDEX_INPUT, None)
        mask = arguments["attention_mask"]
        if self._has_additive_mask:
            lowest = torch.finfo(torch.float32).min
            mask = (1.0 - mask[:, None, None, :].to(torch.float32)) * lowest
        arguments["attention_mask"] = mask
        if self.model.config.model_type in ENCODER_DECODERS:
            return (self._classified(arguments),)
        result = self.model(**arguments)
        return tuple(result[name] for name in self._outputs)

    def _classified(self, arguments: dict[str, torch.Tensor]) -> torch.Tensor:
        """What BartForSequenceClassification gives; its own way only traces for one number of end tokens."""
        states = self.model.model(**arguments, use_cache=False)[0]
        ids = arguments["input_ids"]
        ends = (ids == self.model.config.eos_token_id).to(torch.int64)
        last = torch.argmax(ends * torch.arange(1, ids.shape[1] + 1), dim=1)
        rows = last[:, None, None].expand(-1, 1, states.shape[-1])
        logits: torch.Tensor = self.model.classification_head(torch.gather(states, 1, rows)[:, 0])
        return logits

    def _states_at_masks(self, module: torch.nn.Module, arguments: object, output: Json) -> Json:
        """Hand on the hidden states at the masks alone: the head's vocabulary is as large as the model."""
        if self._mask_index is None:
            return output
        hidden = output[0]
        rows = self._mask_index[:, :, None].expand(-1, -1, hidden.shape[-1])
        output[0 if isinstance(output, tuple) else "last_hidden_state"] = torch.gather(hidden, 1, rows)
        return output
