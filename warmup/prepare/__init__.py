"""Preparing a model for fast loading: export, check against transformers, optimise, quantise, publish."""

from .plan import NotPrepared, Tolerance, Unfinished
from .recipe import prepare

__all__ = ["NotPrepared", "Tolerance", "Unfinished", "prepare"]
