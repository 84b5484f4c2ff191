"""What scripts import: `pipeline` declares a model, `endpoint` turns a typed function into a Lambda handler."""

from .endpoint import endpoint
from .pipeline import pipeline

__all__ = ["endpoint", "pipeline"]
