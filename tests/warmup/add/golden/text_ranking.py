"""Documents by how well they answer a query."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
rank = pipeline(
    "text-ranking",
    model="cross-encoder/ms-marco",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {
    "query": "Where do I live?",
    "documents": ["My name is Sarah and I live in London.", "I love this! It works wonderfully."],
}


@endpoint
def handler(
    query: str,
    documents: list[str],
    top_n: int | None = None,
    return_documents: bool = False,
) -> object:
    return rank(query, documents, top_n=top_n, return_documents=return_documents)
