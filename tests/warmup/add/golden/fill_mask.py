"""What fits the gap in a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
fill = pipeline(
    "fill-mask",
    model="org/camembert",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"text": "Paris est la <mask> de la France."}


@endpoint
def handler(text: str | list[str], top_k: int | None = None) -> object:
    return fill(text, top_k=top_k)
