"""Texts as vectors."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
embed = pipeline(
    "feature-extraction",
    model="org/static",
    revision="0123456789abcdef0123456789abcdef01234567",
    pooling="auto",
    engine="onnx",
)

EXAMPLE = {
    "text": ["I love this! It works wonderfully.", "My name is Sarah and I live in London.", "How are you?"],
}


@endpoint
def handler(text: str | list[str]) -> object:
    return embed(text)
