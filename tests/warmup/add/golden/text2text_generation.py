"""Writes what the text asks for."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
generate = pipeline(
    "text2text-generation",
    model="org/flan",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"text": "How are you?"}


@endpoint
def handler(
    text: str | list[str],
    max_length: int | None = None,
    truncation: bool = False,
) -> object:
    return generate(text, max_length=max_length, truncation=truncation)
