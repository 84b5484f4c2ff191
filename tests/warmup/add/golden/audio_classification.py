"""What is to be heard."""

from hf_lambda import Audio, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "audio-classification",
    model="org/ast",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(audio: Audio | list[Audio], top_k: int | None = None) -> object:
    return classify(audio, top_k=top_k)
