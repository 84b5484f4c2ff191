"""The encoder and the one-token decoder step of an encoder-decoder model, as modules that torch can trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding

if TYPE_CHECKING:
    from transformers.models.bart.modeling_bart import BartAttention
    from transformers.models.t5.modeling_t5 import T5Attention

MASKED = torch.finfo(torch.float32).min


class EncoderGraph(nn.Module):
    """`input_ids, attention_mask` (B, S) -> per decoder layer the cross-attention's K and V.

    K is (B, heads, S, d), V (B, heads, d, S): as `CrossAttention` multiplies by them. The decoder reads the
    encoder through these alone, so no hidden state leaves the graph and no step projects it again.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = model.get_encoder()
        crosses = [cross for _, cross in attentions_of(model)]
        self.keys = nn.ModuleList(_part(cross, "k_proj", "k") for cross in crosses)
        self.values = nn.ModuleList(_part(cross, "v_proj", "v") for cross in crosses)
        self.heads = [_heads(cross) for cross in crosses]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.crossed(self.encoder(input_ids=input_ids, attention_mask=additive(attention_mask))[0])

    def crossed(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows, length = hidden.shape[:2]
        encoder_kv: list[torch.Tensor] = []
        for key, value, heads in zip(self.keys, self.values, self.heads, strict=True):
            encoder_kv.append(key(hidden).view(rows, length, heads, -1).transpose(1, 2))
            encoder_kv.append(value(hidden).view(rows, length, heads, -1).permute(0, 2, 3, 1))
        return tuple(encoder_kv)


class DecoderGraph(nn.Module):
    """One step for every beam: the last token -> logits (rows, 1, V) of the next, and the longer past.

    Shapes: input_ids (B * beams, 1); beam_idx (B * beams), the row of the past that each row goes on from;
    encoder_attention_mask (B, S); past K and V (rows, heads, T >= 0, d); cross K and V (B, heads, S, d),
    never repeated per beam. The first step is the same graph with T = 0, so no second copy of the
    decoder is needed.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        bias = getattr(model, "final_logits_bias", None)
        if bias is not None and not bias.any():
            # All but Marian ship zeros, as long as their vocabulary.
            model.final_logits_bias = torch.zeros(())
        self.self_attentions: list[SelfAttention] = []
        self.cross_attentions: list[CrossAttention] = []
        for owner, names in _attention_slots(model):
            own = SelfAttention(getattr(owner[0], names[0]))
            cross = CrossAttention(getattr(owner[1], names[1]))
            setattr(owner[0], names[0], own)
            setattr(owner[1], names[1], cross)
            self.self_attentions.append(own)
            self.cross_attentions.append(cross)

    def forward(
        self,
        input_ids: torch.Tensor,
        beam_idx: torch.Tensor,
        encoder_attention_mask: torch.Tensor,
        *past_and_encoder_kv: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        mask = additive(encoder_attention_mask)
        for layer, (own, cross) in enumerate(zip(self.self_attentions, self.cross_attentions, strict=True)):
            past_k, past_v, cross_k, cross_v = past_and_encoder_kv[4 * layer : 4 * layer + 4]
            own.past = (past_k.index_select(0, beam_idx), past_v.index_select(0, beam_idx))
            cross.source = (cross_k, cross_v, mask)
        # One token sees its whole past. A ready-made 4-D mask keeps transformers from making a causal one.
        nothing = mask.new_zeros((1, 1, 1, 1))
        logits = self.model(
            decoder_input_ids=input_ids,
            encoder_outputs=(nothing[0],),
            attention_mask=nothing,
            decoder_attention_mask=nothing,
            past_key_values=_Past(past_and_encoder_kv[0]),
            use_cache=True,
        ).logits
        return (logits, *(tensor for own in self.self_attentions for tensor in own.new))


class ComputedPositions(nn.Module):
    """M2M100's sinusoidal positions, computed: transformers keeps a table that grows with the text."""

    def __init__(self, table: M2M100SinusoidalPositionalEmbedding) -> None:
        super().__init__()
        self._table, self._padding, self._size = (table,), table.padding_idx, table.embedding_dim
        half = self._size // 2
        step = -math.log(10000) / (half - 1)
        self.register_buffer("frequencies", torch.exp(torch.arange(half).float() * step), persistent=False)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        past_key_values_length: int = 0,
    ) -> torch.Tensor:
        table = self._table[0]
        if input_ids is not None:
            at = table.create_position_ids_from_input_ids(input_ids, self._padding, past_key_values_length)
        else:
            at = table.create_position_ids_from_inputs_embeds(
                inputs_embeds, past_key_values_length, self._padding
            )
        angles = at.to(torch.float32)[..., None] * self.frequencies
        made = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        if self._size % 2:
            made = nn.functional.pad(made, (0, 1))
        return made if self._padding is None else made * (at != self._padding)[..., None]


def compute_positions(model: nn.Module) -> None:
    """Replace tables of positions that grow by their computation: in a graph they could not grow."""
    for owner in [*model.modules()]:
        for name, module in [*owner.named_children()]:
            if isinstance(module, M2M100SinusoidalPositionalEmbedding):
                setattr(owner, name, ComputedPositions(module))


class SelfAttention(nn.Module):
    """Self-attention of one new token over `past`, which the graph sets before each call."""

    past: tuple[torch.Tensor, torch.Tensor]
    new: tuple[torch.Tensor, torch.Tensor]

    def __init__(self, original: T5Attention | BartAttention) -> None:
        super().__init__()
        self.q, self.k = _part(original, "q_proj", "q"), _part(original, "k_proj", "k")
        self.v, self.o = _part(original, "v_proj", "v"), _part(original, "out_proj", "o")
        self.heads, self.scaling = _heads(original), float(original.scaling)
        self.is_t5 = hasattr(original, "compute_bias")
        self.bias: Callable[..., torch.Tensor] | None = None
        if getattr(original, "has_relative_attention_bias", False):
            self.relative_attention_bias = original.relative_attention_bias
            self.bias = original.compute_bias

    def forward(
        self, hidden_states: torch.Tensor, position_bias: torch.Tensor | None = None, **_: object
    ) -> tuple[torch.Tensor | None, ...]:
        rows = hidden_states.shape[0]
        query, key, value = (
            part(hidden_states).view(rows, self.heads, 1, -1) for part in (self.q, self.k, self.v)
        )
        self.new = (torch.cat([self.past[0], key], dim=2), torch.cat([self.past[1], value], dim=2))
        scores = (query * self.scaling if self.scaling != 1 else query) @ self.new[0].transpose(2, 3)
        if self.bias is not None:
            length = self.new[0].shape[2]
            position_bias = self.bias(1, length, past_seen_tokens=self.past[0].shape[2])
        if position_bias is not None:
            scores = scores + position_bias
        attended = self.o((scores.softmax(-1) @ self.new[1]).view(rows, 1, -1))
        return (attended, position_bias, None) if self.is_t5 else (attended, None)


class CrossAttention(nn.Module):
    """Attention over the encoder, with the beams of an input as its queries: K and V are read once.

    K and V are the left factors: a left factor is read as it lies, a right one is copied into another layout
    first, at every step. The few beams are cheap to copy, the whole source is not.
    """

    source: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    def __init__(self, original: T5Attention | BartAttention) -> None:
        super().__init__()
        self.q, self.o = _part(original, "q_proj", "q"), _part(original, "out_proj", "o")
        self.heads, self.scaling = _heads(original), float(original.scaling)
        self.is_t5 = hasattr(original, "compute_bias")

    def forward(self, hidden_states: torch.Tensor, **_: object) -> tuple[torch.Tensor | None, ...]:
        key, value, mask = self.source
        query = self.q(hidden_states).view(key.shape[0], -1, self.heads, key.shape[3])
        query = (query * self.scaling if self.scaling != 1 else query).permute(0, 2, 3, 1)
        scores = (key @ query).transpose(2, 3)
        # Beams and heads as one axis: a transpose that onnxruntime would move past the softmax stops there.
        rows = scores.reshape(key.shape[0], -1, key.shape[2]) + mask[:, 0]
        shares = rows.softmax(-1).view(key.shape[0], self.heads, -1, key.shape[2])
        attended = value @ shares.transpose(2, 3)
        attended = attended.permute(0, 3, 1, 2).reshape(hidden_states.shape[0], 1, -1)
        return (self.o(attended), None, None) if self.is_t5 else (self.o(attended), None)


def attentions_of(model: PreTrainedModel) -> list[tuple[torch.nn.Module, torch.nn.Module]]:
    """(self-attention, cross-attention) of every decoder layer, in order."""
    return [
        (getattr(owner[0], names[0]), getattr(owner[1], names[1])) for owner, names in _attention_slots(model)
    ]


def additive(mask: torch.Tensor) -> torch.Tensor:
    """(B, S) of ones and zeros -> (B, 1, 1, S) to add to scores: 0 for one, the lowest float for zero."""
    return ((1.0 - mask.to(torch.float32)) * MASKED)[:, None, None, :]


class _Past(EncoderDecoderCache):  # type: ignore[misc]
    """Says how long the past is (as a traced number); the attention modules hold the tensors themselves."""

    def __init__(self, past_key: torch.Tensor) -> None:
        super().__init__(DynamicCache(), DynamicCache())
        self._past_key = past_key

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._past_key.shape[2]


def _attention_slots(model: PreTrainedModel) -> list[tuple[tuple[nn.Module, nn.Module], tuple[str, str]]]:
    decoder = model.get_decoder()
    if hasattr(decoder, "block"):  # T5
        return [((b.layer[0], b.layer[1]), ("SelfAttention", "EncDecAttention")) for b in decoder.block]
    return [((layer, layer), ("self_attn", "encoder_attn")) for layer in decoder.layers]


def _part(attention: T5Attention | BartAttention, *names: str) -> nn.Linear:
    part: nn.Linear = next(getattr(attention, name) for name in names if hasattr(attention, name))
    return part


def _heads(attention: T5Attention | BartAttention) -> int:
    return int(getattr(attention, "num_heads", None) or attention.n_heads)
