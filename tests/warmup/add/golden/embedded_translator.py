"""Translates a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
translate = pipeline(
    "translation_en_to_de",
    model="google-t5/t5-base",
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
    return translate(text, max_length=max_length, truncation=truncation)
