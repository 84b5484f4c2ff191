"""Which of the labels that come with the request fits the sound."""

from hf_lambda import Audio, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
classify = pipeline(
    "zero-shot-audio-classification",
    model="org/clap",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(audio: Audio | list[Audio], candidate_labels: list[str]) -> object:
    return classify(audio, candidate_labels=candidate_labels)
