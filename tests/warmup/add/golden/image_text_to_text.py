"""An answer to a text about a picture."""

from hf_lambda import Image, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
generate = pipeline(
    "image-text-to-text",
    model="org/llava",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(image: Image, text: str, max_new_tokens: int | None = None) -> object:
    return generate(image, text=text, max_new_tokens=max_new_tokens)
