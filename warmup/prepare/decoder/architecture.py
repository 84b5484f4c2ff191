"""Which families are prepared, and what the graph has to know of a model's config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from numpy.typing import NDArray
from transformers import PreTrainedConfig

from ...protocol.records import Json
from ..request import NotPrepared
from .families import FAMILIES, POST, PRE, Family

MAX_POSITIONS = 32768
"""Positions that the graph has rotations for, where the model has that many: 16 MB, read as needed."""

_ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
_ONE_ROPE = "full_attention"


@dataclass(frozen=True)
class Layer:
    window: int | None
    """Tokens that a token attends to, itself included; None: all before it."""
    rope: str | None
    """Which of the rotation tables turns queries and keys; None: positions are not encoded."""


@dataclass(frozen=True)
class Architecture:
    """Sizes and constants of one decoder-only model."""

    model_type: str
    family: Family
    layers: tuple[Layer, ...]
    width: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    activation: str
    norm_epsilon: float
    attention_scale: float
    attention_softcap: float
    """0: none."""
    logit_softcap: float
    is_tied: bool
    positions: int

    @property
    def cache_bytes(self) -> int:
        """What the graph keeps of one token, keys and values in fp32."""
        return 2 * 4 * len(self.layers) * self.kv_heads * self.head_size

    @property
    def has_post_norms(self) -> bool:
        return self.family.norms != PRE

    @property
    def has_pre_norms(self) -> bool:
        return self.family.norms != POST


def architecture_of(config: PreTrainedConfig) -> Architecture:
    """Raises NotPrepared for a family, or a variant of one, whose graph cannot be written."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise NotPrepared(
            f"{config.model_type} models are not prepared for text-generation; these are: {known}"
        )
    activation = getattr(config, "hidden_activation", None) or config.hidden_act
    if activation not in _ACTIVATIONS:
        raise NotPrepared(f"{config.model_type} with the activation {activation!r} is not prepared")
    if getattr(config, "use_bidirectional_attention", False):
        raise NotPrepared(f"{config.model_type} with bidirectional attention is not prepared")
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Architecture(
        model_type=config.model_type,
        family=family,
        layers=_layers(config),
        width=config.hidden_size,
        heads=heads,
        kv_heads=config.num_key_value_heads or heads,
        head_size=head_size,
        vocabulary=config.vocab_size,
        activation=_ACTIVATIONS[activation],
        norm_epsilon=config.rms_norm_eps,
        attention_scale=(getattr(config, "query_pre_attn_scalar", None) or head_size) ** -0.5,
        attention_softcap=getattr(config, "attn_logit_softcapping", None) or 0.0,
        logit_softcap=getattr(config, "final_logit_softcapping", None) or 0.0,
        is_tied=bool(config.tie_word_embeddings),
        positions=_positions(config),
    )


def rotations(config: PreTrainedConfig, length: int) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Cosines and sines (length, rotated / 2) per kind of layer, from transformers' own module."""
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    rotary = type(model.rotary_emb)(config)
    places, like = torch.arange(length)[None], torch.zeros(1)
    tables = {}
    for kind in _ropes(config):
        named = {} if kind == _ONE_ROPE and len(_ropes(config)) == 1 else {"layer_type": kind}
        cos, sin = rotary(like, places, **named)
        half = cos.shape[-1] // 2
        tables[kind] = (cos[0, :, :half].numpy(), sin[0, :, :half].numpy())
    return tables


def _layers(config: PreTrainedConfig) -> tuple[Layer, ...]:
    count, window = config.num_hidden_layers, getattr(config, "sliding_window", None)
    default = "full_attention" if window is None else "sliding_attention"
    kinds = getattr(config, "layer_types", None) or [default] * count
    ropes, turned = _ropes(config), getattr(config, "no_rope_layers", None) or [1] * count
    return tuple(
        Layer(
            window=window if kind == "sliding_attention" else None,
            rope=(kind if kind in ropes else _ONE_ROPE) if is_turned else None,
        )
        for kind, is_turned in zip(kinds, turned, strict=True)
    )


def _ropes(config: PreTrainedConfig) -> dict[str, Json]:
    """Rope parameters per kind of layer; most families have one set for all."""
    given = config.rope_parameters
    is_nested = all(isinstance(value, dict) for value in given.values())
    return dict(given) if is_nested else {_ONE_ROPE: given}


def _positions(config: PreTrainedConfig) -> int:
    """How many tokens fit. Scalings that change with the length of the text end where they would change."""
    positions = min(int(config.max_position_embeddings), MAX_POSITIONS)
    for rope in _ropes(config).values():
        if rope["rope_type"] in ("dynamic", "longrope"):
            original = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", None
            )
            positions = min(positions, int(original or positions))
    return positions
