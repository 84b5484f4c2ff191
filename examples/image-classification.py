"""What is in the picture?"""

from hf_lambda import Image, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "image-classification",
    model="google/vit-base-patch16-224",
    revision="3f49326",
    engine="onnx",
)


@endpoint
def handler(image: Image | list[Image], top_k: int = 5) -> object:
    return classify(image, top_k=top_k)
