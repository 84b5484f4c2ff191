"""An encoder as a module that torch can trace: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hf_lambda.onnx_engine.contract import MASK_INDEX_INPUT

from ...protocol.records import Json
from ..families import ENCODER_DECODERS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ADDITIVE_MASK = frozenset(["albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"])
"""Families that take a finished additive mask: transformers' own way of making one fills the graph."""


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
