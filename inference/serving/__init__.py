"""What scripts import: `pipeline` declares a model, `endpoint` makes a function a Lambda handler."""

from .endpoint import endpoint
from .pipeline import pipeline

__all__ = ["endpoint", "pipeline"]
