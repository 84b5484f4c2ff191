"""What is where in the picture?"""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
detect = pipeline(
    "object-detection",
    model="hustvl/yolos-tiny",
    revision="1a00cc14a139ff40bac9aa00c745915cb7b5b751",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], threshold: float = 0.5) -> object:
    return detect(image, threshold=threshold)
