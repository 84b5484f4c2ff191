"""The answer to a question, as it stands in a text."""

from hf_lambda import endpoint, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
answer = pipeline(
    "question-answering",
    model="org/questions",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
)

EXAMPLE = {"question": "Who?", "context": "It was I."}


@endpoint
def handler(question: str, context: str, top_k: int | None = None) -> object:
    return answer(question=question, context=context, top_k=top_k)
