"""Which parts of the picture are what, a mask for each."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
segment = pipeline(
    "image-segmentation",
    model="org/segformer",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image]) -> object:
    return segment(image)
