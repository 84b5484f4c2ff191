"""`serving.json`: what the warm-up wrote down of a model's config and tokenizer. Standard library only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contract:
    """Everything that serving an encoder needs beside the tokenizer and the graph."""

    head: str
    model_type: str
    inputs: tuple[str, ...] = ()
    """Inputs of the graph, of input_ids, attention_mask, token_type_ids."""
    max_length: int | None = None
    """Tokens to truncate to (the tokenizer's `model_max_length`); None: it says nothing."""
    positions: int | None = None
    """Tokens that the model can take at all; None: any number."""
    tokenizer: dict[str, Any] = field(default_factory=dict)
    """pad_id, mask_id, cls_id, sep_id, unk_id, mask_token, padding_side, truncation_side, cleanup."""
    labels: tuple[str, ...] = ()
    """Label of every output, by index."""
    problem_type: str | None = None
    entailment_id: int = -1
    prefetch: dict[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads; the embedding rows come after them."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of heads that have a reader of their own (seq2seq)."""

    @classmethod
    def read(cls, prepared: Path) -> Contract:
        document = json.loads((prepared / "serving.json").read_bytes())
        known = {name: document.pop(name) for name in list(document) if name in cls.__dataclass_fields__}
        for name in ("inputs", "labels"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known, extra=document)
