"""Preparing a model for fast loading: export, check against transformers, optimise, quantise, publish."""

from .outcome import NotPrepared, Unfinished
from .recipe import prepare
from .request import RECIPE, PrepareRequest, Tolerance

__all__ = ["RECIPE", "NotPrepared", "PrepareRequest", "Tolerance", "Unfinished", "prepare"]
