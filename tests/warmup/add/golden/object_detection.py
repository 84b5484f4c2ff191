"""What is where in the picture."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
detect = pipeline(
    "object-detection",
    model="org/detr",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], threshold: float | None = None) -> object:
    return detect(image, threshold=threshold)
