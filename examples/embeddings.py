"""Sentences as vectors of length 1: similar ones have a high dot product."""

from serving import endpoint, pipeline

# engine="onnx": the warm-up prepares this model, so the small image without torch is enough.
embed = pipeline(
    "feature-extraction",
    model="sentence-transformers/all-MiniLM-L6-v2",
    pooling="mean",
    normalize=True,
    truncation=True,
    engine="onnx",
)

EXAMPLE = {"text": ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again."]}


@endpoint
def handler(text: str | list[str]) -> object:
    return embed(text)
