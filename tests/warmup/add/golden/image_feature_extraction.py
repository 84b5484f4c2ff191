"""Pictures as vectors."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
embed = pipeline(
    "image-feature-extraction",
    model="org/dinov2",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image]) -> object:
    return embed(image)
