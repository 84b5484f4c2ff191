"""Which families are prepared, and what the graph has to know of a model's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedConfig

from ...protocol.records import Json
from ..request import NotPrepared
from .families import FAMILIES, POST, PRE, Family

MAX_POSITIONS = 32768
"""Positions that the graph has rotations for, where the model has that many: 16 MB, read as needed."""

_ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
_ROTARY_HEAD, _ROTARY_HALF = 16, 8
"""GroupQueryAttention rotates heads of multiples of the one, by as many angles as multiples of the other."""
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
    if quantised := getattr(config, "quantization_config", None):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised.quant_method
        raise NotPrepared(
            f"the model is stored quantised ({getattr(method, 'value', method)}); the graph is written from "
            "weights as they were trained: name the repository that it was made from"
        )
    activation = _read(config, family, "hidden_activation") or config.hidden_act
    if activation not in _ACTIVATIONS:
        raise NotPrepared(f"{config.model_type} with the activation {activation!r} is not prepared")
    if _read(config, family, "use_bidirectional_attention"):
        raise NotPrepared(f"{config.model_type} with bidirectional attention is not prepared")
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    layers = _layers(config, family)
    if head_size % _ROTARY_HEAD and any(layer.rope for layer in layers):
        raise NotPrepared(
            f"heads of {head_size} numbers are not rotated here; those of a multiple of {_ROTARY_HEAD} are"
        )
    positions = _positions(config)
    _check_cache(config, layers, positions)
    return Architecture(
        model_type=config.model_type,
        family=family,
        layers=layers,
        width=config.hidden_size,
        heads=heads,
        kv_heads=config.num_key_value_heads or heads,
        head_size=head_size,
        vocabulary=config.vocab_size,
        activation=_ACTIVATIONS[activation],
        norm_epsilon=config.rms_norm_eps,
        attention_scale=(_read(config, family, "query_pre_attn_scalar") or head_size) ** -0.5,
        attention_softcap=_read(config, family, "attn_logit_softcapping") or 0.0,
        logit_softcap=_read(config, family, "final_logit_softcapping") or 0.0,
        is_tied=bool(config.tie_word_embeddings),
        positions=positions,
    )


def shapes_of(config: PreTrainedConfig) -> Mapping[str, tuple[int, ...]]:
    """Of every tensor that transformers reads for such a model; the names without "model."."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return {name.removeprefix("model."): tuple(value.shape) for name, value in model.state_dict().items()}


def rotations(config: PreTrainedConfig, length: int) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Cosines and sines (length, rotated / 2) per kind of layer, from transformers' own module.

    Raises NotPrepared for a number of angles that the graph does not rotate by.
    """
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    rotary = type(model.rotary_emb)(config)
    places, like = torch.arange(length)[None], torch.zeros(1)
    tables = {}
    # The module has what the layers turn by, whatever else the config describes.
    turned = {layer.rope for layer in _layers(config, FAMILIES[config.model_type]) if layer.rope}
    for kind in sorted(turned):
        named = {} if kind == _ONE_ROPE and len(_ropes(config)) == 1 else {"layer_type": kind}
        cos, sin = rotary(like, places, **named)
        half = cos.shape[-1] // 2
        if half % _ROTARY_HALF:
            raise NotPrepared(
                f"{half} angles of a head are not rotated by here; those of a multiple of {_ROTARY_HALF} are"
            )
        tables[kind] = (cos[0, :, :half].numpy(), sin[0, :, :half].numpy())
    return tables


def _read(config: PreTrainedConfig, family: Family, name: str) -> Json:
    """What the config says of `name`, where the family reads it."""
    return getattr(config, name, None) if name in family.reads else None


def _layers(config: PreTrainedConfig, family: Family) -> tuple[Layer, ...]:
    count, window = config.num_hidden_layers, _read(config, family, "sliding_window")
    default = "full_attention" if window is None else "sliding_attention"
    kinds = _read(config, family, "layer_types") or [default] * count
    ropes, turned = _ropes(config), _read(config, family, "no_rope_layers") or [1] * count
    return tuple(
        Layer(
            window=window if kind == "sliding_attention" else None,
            rope=(kind if kind in ropes else _ONE_ROPE) if is_turned else None,
        )
        for kind, is_turned in zip(kinds, turned, strict=True)
    )


def _check_cache(config: PreTrainedConfig, layers: Sequence[Layer], positions: int) -> None:
    """Raises NotPrepared where transformers forgets tokens that the layers attend to: by a config that says
    more of windows than the family reads, its cache goes all the same."""
    for layer, kept in zip(layers, DynamicCache(config=config).layers, strict=True):
        window = getattr(kept, "sliding_window", None)
        if window is not None and window < positions and window != layer.window:
            raise NotPrepared(
                f"config.json has windows of {window} tokens, which {config.model_type} models do not attend "
                "by, though transformers keeps no more while it generates: take them out, or write "
                "engine='torch'"
            )


def _ropes(config: PreTrainedConfig) -> dict[str, Json]:
    """Rope parameters per kind of layer; most families have one set for all."""
    given = config.rope_parameters
    nested = {kind: value for kind, value in given.items() if isinstance(value, dict)}
    return nested or {_ONE_ROPE: given}  # beside those per kind of layer, others mean nothing


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
