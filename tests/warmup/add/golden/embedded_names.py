"""The names and other entities in a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
recognize = pipeline(
    "token-classification",
    model="dslim/bert-base-NER",
    revision="0123456789abcdef0123456789abcdef01234567",
    aggregation_strategy="simple",
    engine="onnx",
)

EXAMPLE = {"text": "My name is Sarah and I live in London."}


@endpoint
def handler(text: str | list[str]) -> object:
    return recognize(text)
