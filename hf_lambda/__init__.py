"""What scripts import: `pipeline` declares a model, `endpoint` makes a function a Lambda handler.

`openai` makes a pipeline one that OpenAI's clients talk to, `tei` those of text-embeddings-inference.

`Image` and `Audio` are types of its parameters beside those of JSON.
"""

from typing import TYPE_CHECKING

from hf_lambda.endpoint import endpoint
from hf_lambda.media.audio import Audio
from hf_lambda.media.image import Image
from hf_lambda.pipeline import pipeline

if TYPE_CHECKING:
    from hf_lambda.openai_api import openai
    from hf_lambda.tei_api import tei

__all__ = ["Audio", "Image", "endpoint", "openai", "pipeline", "tei"]


def __getattr__(name: str) -> object:
    """The APIs of others, which few scripts speak: every module is part of a cold start."""
    if name == "openai":
        from hf_lambda.openai_api import openai

        return openai
    if name == "tei":
        from hf_lambda.tei_api import tei

        return tei
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
