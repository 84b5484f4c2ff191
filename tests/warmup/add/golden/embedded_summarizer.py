"""A short summary of a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
summarize = pipeline(
    "summarization",
    model="sshleifer/distilbart-cnn-12-6",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {
    "article": (
        "The city opened its new library on Monday. More than two thousand people came on the "
        "first day. The building has five floors, a garden on the roof and rooms where groups "
        "can meet."
    ),
}


@endpoint
def handler(
    article: str | list[str],
    max_length: int | None = None,
    min_length: int | None = None,
    truncation: bool = False,
) -> object:
    return summarize(article, max_length=max_length, min_length=min_length, truncation=truncation)
