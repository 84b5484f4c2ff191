"""How well a passage answers a query."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
score = pipeline(
    "text-classification",
    model="cross-encoder/ms-marco",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"text": "Where do I live?", "text_pair": "My name is Sarah and I live in London."}


@endpoint
def handler(text: str, text_pair: str) -> object:
    return score({"text": text, "text_pair": text_pair})
