"""Families of encoder-decoder models that graphs are exported of. Standard library only."""

from __future__ import annotations

FAMILIES = frozenset({"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5"})
"""`model_type`s whose graphs have been compared with transformers; NLLB is an m2m_100."""
