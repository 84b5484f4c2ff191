"""Preparing a model for fast loading: export, check against transformers, optimise, quantise, publish."""

from .recipe import prepare
from .request import (
    MEMORY_MB,
    RECIPE,
    AdapterSnapshot,
    NotPrepared,
    PrepareFailed,
    PrepareRequest,
    Tolerance,
    Unfinished,
)

__all__ = [
    "MEMORY_MB",
    "RECIPE",
    "AdapterSnapshot",
    "NotPrepared",
    "PrepareFailed",
    "PrepareRequest",
    "Tolerance",
    "Unfinished",
    "prepare",
]
