"""What is said, as text."""

from hf_lambda import Audio, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
recognize = pipeline(
    "automatic-speech-recognition",
    model="openai/whisper-tiny",
    revision="0123456789abcdef0123456789abcdef01234567",
)


@endpoint
def handler(audio: Audio | list[Audio], language: str | None = None) -> object:
    return recognize(audio, language=language)
