"""Where in the picture is what the labels of the request name."""

from hf_lambda import Image, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
detect = pipeline(
    "zero-shot-object-detection",
    model="org/owlvit",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(
    image: Image | list[Image],
    candidate_labels: list[str],
    threshold: float | None = None,
) -> object:
    return detect(image, candidate_labels=candidate_labels, threshold=threshold)
