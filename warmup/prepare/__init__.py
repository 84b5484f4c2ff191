"""Preparing a model for fast loading: export, check against transformers, optimise, quantise, publish."""

from .outcome import NotPrepared, PrepareFailed, Unfinished
from .recipe import prepare
from .request import MEMORY_MB, RECIPE, AdapterSnapshot, PrepareRequest, Tolerance

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
