"""Exporting encoders: one graph from tokens to logits or hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer

from ..onnx.torch_export import export_graph
from ..plan import NotPrepared, Plan
from . import reference
from .contract import write_contract

FAMILIES = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    ]
)
"""`model_type`s whose graphs have been compared with transformers."""

ENCODER_DECODERS = frozenset(["bart"])
"""Those that classify whole texts by the decoder's state at the last end token: NLI, zero-shot."""

PLAIN_MASK = frozenset(["albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"])
"""Families that take a finished additive mask: transformers' own way of making one fills the graph."""

AUTO_CLASSES = {
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "masked-lm": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
}
OUTPUTS = {"question-answering": ("start_logits", "end_logits"), "feature-extraction": ("last_hidden_state",)}
_OUTPUT_AXES = {"sequence-classification": {0: "batch"}, "masked-lm": {0: "batch", 1: "masks"}}


def export(snapshot: Path, task: str, work_dir: Path) -> None:
    """Write `export/model.onnx` with weights, tokenizer.json, serving.json and transformers' answers.

    Raises NotPrepared for a family that is not known to come out right.
    """
    plan = Plan.read(work_dir)
    config = AutoConfig.from_pretrained(snapshot)
    families = FAMILIES | ENCODER_DECODERS if plan.head == "sequence-classification" else FAMILIES
    if config.model_type not in families:
        known = ", ".join(sorted(families))
        raise NotPrepared(f"{config.model_type} models are not prepared for {task}; these are: {known}")
    transformers.utils.logging.disable_progress_bar()
    model = _model(snapshot, plan.head)
    tokenizer = AutoTokenizer.from_pretrained(snapshot)
    inputs = _inputs(tokenizer, model, plan.head)
    outputs = OUTPUTS.get(plan.head, ("logits",))
    folder = work_dir / "export"
    write_contract(folder, plan, tokenizer, config, inputs)
    reference.write(work_dir, plan, tokenizer, model, inputs, outputs)
    axes = {name: {0: "batch", 1: "masks" if name == "positions" else "sequence"} for name in inputs}
    axes |= dict.fromkeys(outputs, _OUTPUT_AXES.get(plan.head, {0: "batch", 1: "sequence"}))
    example = _example(tokenizer, inputs)
    export_graph(_Traced(model, inputs, outputs).eval(), example, outputs, axes, folder / "model.onnx")


def _model(snapshot: Path, head: str) -> Any:
    auto = getattr(transformers, AUTO_CLASSES[head])
    # Eager attention: the graph of the other kinds scales both factors and, for MPNet and DeBERTa, is wrong.
    model = auto.from_pretrained(snapshot, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def _inputs(tokenizer: Any, model: Any, head: str) -> tuple[str, ...]:
    """As few as possible: segments matter only where pairs can come and the model tells them apart."""
    if head == "masked-lm":
        return ("input_ids", "attention_mask", "positions")
    pairs = head in ("sequence-classification", "question-answering")
    segments = (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    if pairs and segments and "token_type_ids" in tokenizer.model_input_names:
        return ("input_ids", "attention_mask", "token_type_ids")
    return ("input_ids", "attention_mask")


def _example(tokenizer: Any, inputs: Sequence[str]) -> dict[str, torch.Tensor]:
    """A padded batch: neither axis is 1, or the exporter would take it for a constant."""
    texts = ["A first example to trace the model with.", "A second, shorter one."]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    shape = encoded["input_ids"].shape
    encoded["positions"] = torch.tensor([[1, 2], [2, 3]])
    return {name: encoded.get(name, torch.zeros(shape, dtype=torch.int64)) for name in inputs}


class _Traced(torch.nn.Module):
    """Positional arguments in, tensors out, as tracing needs it."""

    def __init__(self, model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self._inputs, self._outputs = model, tuple(inputs), tuple(outputs)
        self._plain_mask = model.config.model_type in PLAIN_MASK
        self._positions: torch.Tensor | None = None
        if "positions" in inputs:
            model.base_model.register_forward_hook(self._pick)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments = dict(zip(self._inputs, tensors, strict=True))
        self._positions = arguments.pop("positions", None)
        mask = arguments["attention_mask"]
        if self._plain_mask:
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

    def _pick(self, module: Any, arguments: Any, output: Any) -> Any:
        """Hand on the hidden states at `positions` alone: the head's vocabulary is as large as the model."""
        if self._positions is None:
            return output
        hidden = output[0]
        rows = self._positions[:, :, None].expand(-1, -1, hidden.shape[-1])
        output[0 if isinstance(output, tuple) else "last_hidden_state"] = torch.gather(hidden, 1, rows)
        return output
