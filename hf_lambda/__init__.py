"""What scripts import: `pipeline` declares a model, `endpoint` makes a function a Lambda handler.

`openai` makes a pipeline one that OpenAI's clients talk to.

`Image` and `Audio` are types of its parameters beside those of JSON.
"""

from hf_lambda.endpoint import endpoint
from hf_lambda.media.audio import Audio
from hf_lambda.media.image import Image
from hf_lambda.openai_api import openai
from hf_lambda.pipeline import pipeline

__all__ = ["Audio", "Image", "endpoint", "openai", "pipeline"]
