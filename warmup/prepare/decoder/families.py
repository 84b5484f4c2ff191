"""Families of decoder-only models that graphs are written for. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

PRE, POST, AROUND = "pre", "post", "around"
_WINDOW = frozenset({"sliding_window"})
_WINDOWS = _WINDOW | {"layer_types"}
_GEMMA = {"norm_offset": 1.0, "scales_embedding": True}
_CAPPED = _WINDOWS | {
    *("hidden_activation", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"),
    "use_bidirectional_attention",
}


@dataclass(frozen=True)
class Family:
    """How the layers of one `model_type` differ from Llama's."""

    norms: str = PRE
    """Where a block is normalised: its input ("pre"), its output ("post"), or both ("around")."""
    query_key_norm: str | None = None
    """"head": each head's queries and keys are normalised; "whole": all heads of a token together."""
    norm_offset: float = 0.0
    """Added to the weights of every norm."""
    scales_embedding: bool = False
    """Whether embeddings are multiplied by the root of their width."""
    reads: frozenset[str] = frozenset()
    """Keys of config.json that mean something here and not to Llama. What its family does not read, a config
    may hold all the same: of the model that it was made from, or another one's."""


FAMILIES = {
    "gemma": Family(reads=frozenset({"use_bidirectional_attention"}), **_GEMMA),  # type: ignore[arg-type]
    "gemma2": Family(norms=AROUND, reads=_CAPPED, **_GEMMA),  # type: ignore[arg-type]
    "gemma3_text": Family(norms=AROUND, query_key_norm="head", reads=_CAPPED, **_GEMMA),  # type: ignore[arg-type]
    "llama": Family(),
    "mistral": Family(reads=_WINDOW),
    "olmo2": Family(norms=POST, query_key_norm="whole"),
    "phi3": Family(reads=_WINDOW),
    "qwen2": Family(reads=_WINDOWS),
    "qwen3": Family(query_key_norm="head", reads=_WINDOWS),
    "smollm3": Family(reads=_WINDOWS | {"no_rope_layers"}),
}
"""`model_type`s whose graphs have been compared with transformers."""
