"""Sentences as vectors of length 1: similar ones have a high dot product."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
embed = pipeline(
    "feature-extraction",
    model="sentence-transformers/all-MiniLM-L6-v2",
    revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    pooling="auto",  # as its authors meant it: what sentence-transformers makes of the repository
    engine="onnx",
)

EXAMPLE = {"text": ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again."]}


@endpoint
def handler(text: str | list[str]) -> object:
    return embed(text)
