"""What scripts import: `pipeline` declares a model, `endpoint` makes a function a Lambda handler."""

from hf_lambda.endpoint import endpoint
from hf_lambda.pipeline import pipeline

__all__ = ["endpoint", "pipeline"]
