"""A text as speech."""

from hf_lambda import endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
speak = pipeline(
    "text-to-audio",
    model="facebook/mms-tts-eng",
    revision="0123456789abcdef0123456789abcdef01234567",
)

EXAMPLE = {"text": "How are you?"}


@endpoint
def handler(text: str | list[str]) -> object:
    return speak(text)
