"""What transformers itself makes of the gate's texts, in fp32, with the weights of one layer in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from hf_lambda.errors import ServingError
from hf_lambda.onnx_engine.decoder.chat import Template

from ...protocol.records import Json
from ..loading import load_config
from ..request import NotPrepared, PrepareRequest
from ..samples import LONG, SENTENCES
from .adapter import Adapter, Update, read_adapter
from .tensors import Tensors, open_model

ROW_TOKENS = 128
ROWS = 8
_OWN_TOKENS = 512
"""Of one of the user's samples."""
_CODE = '''def median(values: list[float]) -> float:
    """The middle of the sorted values, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


class Account {
    constructor(owner) { this.owner = owner; this.balance = 0; }
    deposit(amount) { if (amount <= 0) throw new Error("amount must be positive"); this.balance += amount; }
}

SELECT city, COUNT(*) AS visits FROM trips WHERE year >= 2020 GROUP BY city ORDER BY visits DESC LIMIT 10;
'''
_PIECE = 8192
"""Rows of the output matrix that are in fp32 at a time."""


class Layered:
    """transformers' model over mapped weights: each layer's are read before it runs and dropped after."""

    def __init__(self, snapshot: Path, adapter: Adapter | None = None) -> None:
        """adapter: beside the model, as peft runs it, not merged into its matrices."""
        config = load_config(snapshot)
        self._shape, self._tensors = open_model(snapshot)
        self._adapter = adapter or Adapter()
        self._check_tables()
        Tensors(snapshot, adapter)  # raises where the adapter is of another model
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        self._base = model.model.eval()
        # Made from the config, not loaded: what was made on no device has no values.
        self._base.rotary_emb = type(self._base.rotary_emb)(config)
        self._fill(self._base.norm, "norm.")
        for index, layer in enumerate(self._base.layers):
            layer.register_forward_pre_hook(self._filler(f"layers.{index}."))
            layer.register_forward_hook(_empty)
            for name, module in layer.named_modules():
                if update := self._adapter.updates.get(f"layers.{index}.{name}"):
                    module.register_forward_hook(_beside(update))

    def hidden(self, tokens: list[int]) -> NDArray[Any]:
        """The normalised last hidden state after each of `tokens` (n, width)."""
        rows = np.asarray(self._tensor("embed_tokens.weight")[tokens], np.float32)
        if self._shape.family.scales_embedding:
            rows = rows * np.float32(self._shape.width**0.5)
        with torch.inference_mode():
            result = self._base(inputs_embeds=torch.from_numpy(rows)[None], use_cache=False)
        states: NDArray[Any] = result.last_hidden_state[0].numpy()
        return states

    def scores(self, hidden: NDArray[Any], tokens: Sequence[int] | None = None) -> NDArray[Any]:
        """Logits (n, vocabulary) of hidden states (n, width); of `tokens` alone where they are named."""
        table = self._tensor("embed_tokens.weight" if self._shape.is_tied else "lm_head.weight")
        chosen = slice(None) if tokens is None else list(tokens)
        table = table[chosen]
        logits = np.empty((len(hidden), len(table)), np.float32)
        for start in range(0, len(table), _PIECE):
            piece = np.asarray(table[start : start + _PIECE], np.float32)
            np.matmul(hidden, piece.T, out=logits[:, start : start + _PIECE])
        if update := self._adapter.updates.get("lm_head"):
            logits += np.float32(update.scale) * (hidden @ update.down.T @ update.up[chosen].T)
        if cap := self._shape.logit_softcap:
            logits = np.tanh(logits / np.float32(cap)) * np.float32(cap)
        return logits

    def _filler(self, prefix: str) -> Callable[..., None]:
        return lambda module, arguments: self._fill(module, prefix)

    def _fill(self, module: torch.nn.Module, prefix: str) -> None:
        for name, _ in list(module.named_parameters()):
            value = np.array(self._tensor(prefix + name), np.float32)
            _set(module, name, torch.from_numpy(value))

    def _tensor(self, name: str) -> NDArray[Any]:
        replaced = self._adapter.replaced.get(name)
        return self._tensors[name] if replaced is None else replaced

    def _check_tables(self) -> None:
        """Raises NotPrepared for an adapter of the one table that is both embedding and head."""
        changed = {*self._adapter.updates, *(name.removesuffix(".weight") for name in self._adapter.replaced)}
        if self._shape.is_tied and changed & {"embed_tokens", "lm_head"}:
            raise NotPrepared(
                "the adapter changes embeddings that are the head too, which is not merged here"
            )


def adapter_of(request: PrepareRequest) -> Adapter | None:
    return read_adapter(request.adapter.path) if request.adapter else None


def write(request: PrepareRequest, work: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write `reference.json` (tokens of every row) and `reference.npz` (transformers' hidden states)."""
    rows = gate_rows(request, tokenizer)
    model = Layered(request.snapshot, adapter_of(request))
    (work / "reference.json").write_text(json.dumps(rows))
    states = {str(at): model.hidden(row) for at, row in enumerate(rows)}
    np.savez(work / "reference.npz", allow_pickle=False, **states)


def gate_rows(request: PrepareRequest, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The user's samples, or the built-in texts as rows of like length."""
    if request.samples is not None:
        return [_own(request, sample, tokenizer)[:_OWN_TOKENS] for sample in request.samples]
    texts = [*SENTENCES[:11], _CODE, *SENTENCES[11:19], LONG]
    ids: list[int] = tokenizer("\n".join(texts), add_special_tokens=False)["input_ids"]
    prefix = list(tokenizer("", add_special_tokens=True)["input_ids"])
    size = ROW_TOKENS - len(prefix)
    return [prefix + ids[start : start + size] for start in range(0, min(len(ids), ROWS * size), size)]


def _own(request: PrepareRequest, sample: Json, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if isinstance(sample, str):
        ids: list[int] = tokenizer(sample)["input_ids"]
    elif isinstance(sample, list):
        template = Template(tokenizer.chat_template, dict(tokenizer.special_tokens_map))
        try:
            text = template.render(sample)
        except ServingError as error:
            raise NotPrepared(f"a gate sample of {request.task} is {sample!r}: {error}") from error
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        raise NotPrepared(f"a gate sample of {request.task} is {sample!r}; expected a text or chat messages")
    if len(ids) < 2:
        raise NotPrepared(f"a gate sample of {request.task} is {sample!r}; expected two tokens at least")
    return ids


def _beside(update: Update) -> Callable[..., torch.Tensor]:
    down, up = torch.from_numpy(update.down), torch.from_numpy(update.up)
    return lambda module, arguments, output: output + update.scale * (arguments[0] @ down.T @ up.T)


def _empty(module: torch.nn.Module, arguments: object, output: object) -> None:
    for name, parameter in list(module.named_parameters()):
        _set(module, name, torch.empty(parameter.shape, device="meta"))


def _set(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    owner, _, own = name.rpartition(".")
    setattr(module.get_submodule(owner), own, torch.nn.Parameter(value, requires_grad=False))


def parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(count, start + size)) for start in range(0, count, size))
