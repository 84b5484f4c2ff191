"""What is to be heard."""

from hf_lambda import Audio, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
classify = pipeline(
    "audio-classification",
    model="org/ast",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(audio: Audio | list[Audio], top_k: int | None = None) -> object:
    return classify(audio, top_k=top_k)
