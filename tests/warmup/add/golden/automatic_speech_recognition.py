"""What is said, as text."""

from hf_lambda import Audio, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
recognize = pipeline(
    "automatic-speech-recognition",
    model="openai/whisper-tiny",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)


@endpoint
def handler(audio: Audio | list[Audio], language: str | None = None) -> object:
    return recognize(audio, language=language)
