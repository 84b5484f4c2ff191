"""Which points of two pictures are the same."""

from hf_lambda import Image, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
match = pipeline(
    "keypoint-matching",
    model="org/superglue",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(first: Image, second: Image) -> object:
    return match([first, second])
