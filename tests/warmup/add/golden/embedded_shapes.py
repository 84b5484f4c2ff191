"""What is in the picture."""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "image-classification",
    model="google/vit-base-patch16-224",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], top_k: int | None = None) -> object:
    return classify(image, top_k=top_k)
