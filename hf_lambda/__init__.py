"""What scripts import: `pipeline` declares a model, `endpoint` makes a function a Lambda handler.

`Image` and `Audio` are types of its parameters beside those of JSON.
"""

from hf_lambda.endpoint import endpoint
from hf_lambda.media.audio import Audio
from hf_lambda.media.image import Image
from hf_lambda.pipeline import pipeline

__all__ = ["Audio", "Image", "endpoint", "pipeline"]
