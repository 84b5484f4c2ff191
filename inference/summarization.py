"""A short summary of an article."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
summarize = pipeline(
    "summarization",
    model="sshleifer/distilbart-cnn-12-6",
    revision="a4f8f3ea906ed274767e9906dbaede7531d660ff",
    engine="onnx",
)

EXAMPLE = {
    "article": (
        "The city opened its new library on Monday. More than two thousand people came on the first day. "
        "The building has five floors, a garden on the roof and rooms where groups can meet. "
        "The mayor said that the library will stay open until midnight during the week."
    )
}


@endpoint
def handler(
    article: str | list[str],
    max_length: int | None = None,
    min_length: int | None = None,
    truncation: bool = False,
) -> object:
    return summarize(article, max_length=max_length, min_length=min_length, truncation=truncation)
