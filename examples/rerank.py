"""Which documents answer a question? The best ones first, each with a score."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
rank = pipeline(
    "text-ranking",
    model="cross-encoder/ms-marco-MiniLM-L6-v2",
    revision="c5ee24cb16019beea0893ab7796b1df96625c6b8",
    engine="onnx",
)

EXAMPLE = {
    "query": "How many people live in Berlin?",
    "documents": [
        "New York City is famous for its museums.",
        "Berlin had a population of 3,520,031 registered inhabitants in 2016.",
        "Many people live in Berlin, and more come every year.",
    ],
    "top_n": 2,
}


@endpoint
def handler(
    query: str,
    documents: list[str | dict[str, object]],
    top_n: int | None = None,
    return_documents: bool = True,
) -> object:
    return rank(query=query, documents=documents, top_n=top_n, return_documents=return_documents)
