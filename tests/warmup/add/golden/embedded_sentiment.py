"""Which label fits a text, and how well."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "text-classification",
    model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"text": "I love this! It works wonderfully."}


@endpoint
def handler(text: str | list[str], top_k: int | None = None, truncation: bool = False) -> object:
    return classify(text, top_k=top_k, truncation=truncation)
