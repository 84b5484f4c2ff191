"""Families of encoders that graphs are exported of. Standard library only."""

from __future__ import annotations

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
