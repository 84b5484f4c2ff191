"""Preparing a model for fast loading: export, check against transformers, optimise, quantise, publish."""

from .plan import RECIPE, NotPrepared, Tolerance, Unfinished
from .recipe import prepare

__all__ = ["RECIPE", "NotPrepared", "Tolerance", "Unfinished", "prepare"]
