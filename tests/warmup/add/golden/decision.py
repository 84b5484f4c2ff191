"""Decisions about a state, each with its probabilities."""

from hf_lambda import endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
decide = pipeline(
    "decision",
    model="org/decider",
    revision="0123456789abcdef0123456789abcdef01234567",
)

EXAMPLE = {
    "state": "A cat sat on the mat.",
    "questions": {
        "topic": {
            "type": "choice",
            "instructions": "What does the text speak of?",
            "criteria": {"pets": "it speaks of animals", "music": "it speaks of songs"},
        },
    },
}


@endpoint
def handler(state: object, questions: dict[str, object]) -> object:
    return decide(state=state, questions=questions)
