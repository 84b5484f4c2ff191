"""Which of the labels that come with the request fits the text?"""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "zero-shot-classification",
    model="facebook/bart-large-mnli",
    revision="d7645e127eaf1aefc7862fd59a17a5aa8558b8ce",
    engine="onnx",
)

EXAMPLE = {
    "text": "The new phone has a great camera.",
    "candidate_labels": ["technology", "sport", "politics"],
}


@endpoint
def handler(text: str | list[str], candidate_labels: list[str], multi_label: bool = False) -> object:
    return classify(text, candidate_labels=candidate_labels, multi_label=multi_label)
