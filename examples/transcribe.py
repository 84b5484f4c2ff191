"""What is said?"""

from hf_lambda import Audio, endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
transcribe = pipeline(
    "automatic-speech-recognition",
    model="facebook/wav2vec2-base-960h",
    revision="22aad52",
    engine="onnx",
)


@endpoint
def handler(
    audio: Audio | list[Audio],
    chunk_length_s: float = 20,
    return_timestamps: str | None = None,
) -> object:
    return transcribe(audio, chunk_length_s=chunk_length_s, return_timestamps=return_timestamps)
