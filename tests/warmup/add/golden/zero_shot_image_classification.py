"""Which of the labels that come with the request fits the picture."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "zero-shot-image-classification",
    model="org/clip",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], candidate_labels: list[str]) -> object:
    return classify(image, candidate_labels=candidate_labels)
