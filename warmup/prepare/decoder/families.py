"""Families of decoder-only models that graphs are written for. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

PRE, POST, AROUND = "pre", "post", "around"
_GEMMA = {"norm_offset": 1.0, "scales_embedding": True}


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


FAMILIES = {
    "gemma": Family(**_GEMMA),  # type: ignore[arg-type]
    "gemma2": Family(norms=AROUND, **_GEMMA),  # type: ignore[arg-type]
    "gemma3_text": Family(norms=AROUND, query_key_norm="head", **_GEMMA),  # type: ignore[arg-type]
    "llama": Family(),
    "mistral": Family(),
    "olmo2": Family(norms=POST, query_key_norm="whole"),
    "phi3": Family(),
    "qwen2": Family(),
    "qwen3": Family(query_key_norm="head"),
    "smollm3": Family(),
}
"""`model_type`s whose graphs have been compared with transformers."""
