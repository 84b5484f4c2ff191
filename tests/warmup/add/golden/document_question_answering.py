"""The answer to a question about the picture of a page."""

from hf_lambda import Image, endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
answer = pipeline(
    "document-question-answering",
    model="org/layoutlm",
    revision="0123456789abcdef0123456789abcdef01234567",
)

EXAMPLE = {
    "image": (
        "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAr0lEQVR42u3aWxWAMBAD0UjBvxocgQPoA9g0TA"
        "8C5v6V3epY/AgAAAAAAAB49OzbdvH5Aq6735Po4+7HJaqtnzeoNn2eIZP6YYN86scMsqofMMitvtcgw/ouwz8A"
        "39e3G2Rb32gAYA6orW8xAHAGONTfGgAAAAAAAIBYAHchAPMA/sgAMFZhMmcCWH64mzBeT1hwJKyYEpZ8CWvWkE"
        "V3wlODnMcevBcCAAAAAAAV5wRCgD4mHLQoSgAAAABJRU5ErkJggg=="
    ),
    "question": "What is the total?",
    "word_boxes": [["Total:", [100, 100, 300, 200]], ["42", [320, 100, 400, 200]]],
}


@endpoint
def handler(image: Image, question: str, word_boxes: list[object]) -> object:
    return answer(image, question=question, word_boxes=word_boxes)
