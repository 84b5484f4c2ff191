"""Which of these words fits the picture?"""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
compare = pipeline(
    "zero-shot-image-classification",
    model="openai/clip-vit-base-patch32",
    revision="3d74acf",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], candidate_labels: list[str] | str) -> object:
    return compare(image, candidate_labels=candidate_labels)
