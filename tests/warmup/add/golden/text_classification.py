"""Which label fits a text, and how well."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
classify = pipeline(
    "text-classification",
    model="org/emotions",
    revision="0123456789abcdef0123456789abcdef01234567",
    function_to_apply="sigmoid",
    top_k=None,
    engine="onnx",
)

EXAMPLE = {"text": "Das gefällt mir sehr! Es funktioniert wunderbar."}


@endpoint
def handler(text: str | list[str], top_k: int | None = None, truncation: bool = False) -> object:
    return classify(text, top_k=top_k, truncation=truncation)
