"""What is written or to be seen in the picture, as text."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
write = pipeline(
    "image-to-text",
    model="microsoft/trocr-small",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(
    image: Image | list[Image],
    max_new_tokens: int | None = None,
    prompt: str | None = None,
) -> object:
    return write(image, max_new_tokens=max_new_tokens, prompt=prompt)
