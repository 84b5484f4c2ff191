"""Which of the labels that come with the request fits the text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "zero-shot-classification",
    model="facebook/bart-large-mnli",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {
    "text": (
        "The city opened its new library on Monday. More than two thousand people came on the "
        "first day. The building has five floors, a garden on the roof and rooms where groups "
        "can meet."
    ),
    "candidate_labels": ["technology", "sport", "politics"],
}


@endpoint
def handler(
    text: str | list[str],
    candidate_labels: list[str],
    multi_label: bool = False,
) -> object:
    return classify(text, candidate_labels=candidate_labels, multi_label=multi_label)
