"""What the gate asks a model: plain sentences, hard ones, several languages, pairs, one that is too long."""

from __future__ import annotations

from hf_lambda.ranking import text_of

from ..protocol.records import Json
from .request import NotPrepared, PrepareRequest

SENTENCES = (
    "I love this little cafe, the coffee is wonderful and the staff always smile.",
    "The battery died after two days and nobody answered my letters. Never again!",
    "Not bad at all, although I had hoped for a bit more.",
    "The train to Edinburgh leaves at 7:45 from platform 9.",
    "Marie Curie was born in Warsaw and worked in Paris; she won two Nobel Prizes.",
    "Could you please tell me how I change the password of my account?",
    "Rain is expected in the north, while the south stays dry and warm until Thursday.",
    "What a waste of an evening: the plot makes no sense and the actors look bored.",
    "Shares of Acme Corp. rose 4.5 % to $1,204.10 after Tuesday's report.",
    "ok",
    "!!! ??? ... :-)",
    "Der Zug hatte schon wieder eine Stunde Verspätung, und niemand wusste, warum.",
    "Nous avons passé une soirée délicieuse au bord de la Seine.",
    "La película me pareció larga, pero el final vale la pena.",
    "Поезд отправляется утром, билеты ещё есть.",
    "今日はとても良い天気ですね。",
    "이 책은 정말 재미있어요.",
    "السماء صافية اليوم والبحر هادئ.",
    "Mixed: naïve café, 3×4=12, e-mail me@example.com, 😀 and\ttabs\nand lines.",
    "the quick brown fox jumps over the lazy dog " * 8,
)
LONG = " ".join(
    f"On day {day} the crew wrote that the wind had turned, the sea was calm and supplies would last."
    for day in range(1, 61)
)
PASSAGES = (
    ("Where was Marie Curie born?", SENTENCES[4]),
    ("When does the train leave?", SENTENCES[3]),
    ("How did the shares change?", SENTENCES[8]),
    ("Who won two Nobel Prizes?", SENTENCES[4]),
    ("What is expected in the north?", SENTENCES[6]),
    ("Wer wusste, warum?", SENTENCES[11]),
    ("What happened on day 40?", LONG),
    ("What is the colour of the moon?", SENTENCES[5]),
)
MASKED = (
    "Paris is the {mask} of France.",
    "The coffee is {mask} and the staff always smile.",
    "She opened the {mask} and walked into the room.",
    "Rain is expected in the {mask} until Thursday.",
    "{mask} Curie won two Nobel Prizes.",
    "Der Zug hatte eine {mask} Verspätung.",
    "I love {mask}!",
    "The {mask} was cold. " + LONG[:400],
)
_PREMISES = ("This example is about travel.", "This text is positive.", "This example is science.")

Sample = str | tuple[str, str]
"""A text, or a pair of them: a text and its second, a question and its context."""


def samples_of(request: PrepareRequest, mask_token: str | None) -> list[Sample]:
    """The gate's samples for the head of `request`: the user's own, or the built-in ones.

    Raises NotPrepared where a sample of the user's has another shape than its task takes.
    """
    if request.samples is not None and request.task == "text-ranking":
        return [pair for sample in request.samples for pair in _own_ranking(sample)]
    if request.samples is not None:
        return [_own_sample(request, sample, mask_token) for sample in request.samples]
    if request.head == "question-answering":
        return list(PASSAGES)
    if request.head == "masked-lm":
        return [text.replace("{mask}", str(mask_token)) for text in MASKED]
    if request.task == "text-ranking":
        texts_of_all = (SENTENCES[0], LONG, SENTENCES[9])
        return [(question, text) for question, own in PASSAGES for text in (own, *texts_of_all)]
    texts: list[Sample] = [*SENTENCES, LONG]
    if request.head == "sequence-classification":
        texts += [(text, premise) for text in SENTENCES[:6] for premise in _PREMISES]
    return texts


def _own_ranking(sample: Json) -> list[Sample]:
    """The pairs of a query and one of its documents."""
    query = sample.get("query") if isinstance(sample, dict) else None
    documents = sample.get("documents") if isinstance(sample, dict) else None
    if not isinstance(query, str) or not isinstance(documents, list):
        expected = '{"query": ..., "documents": [...]}'
        raise NotPrepared(f"a gate sample of text-ranking is {sample!r}; expected {expected}")
    try:
        return [(query, text_of(document)) for document in documents]
    except (TypeError, KeyError):
        raise NotPrepared(f"a document of a gate sample is not a text: {documents!r}") from None


def _own_sample(request: PrepareRequest, sample: Json, mask_token: str | None) -> Sample:
    if request.head == "masked-lm" and not (isinstance(sample, str) and str(mask_token) in sample):
        raise NotPrepared(f"a gate sample of {request.task} is {sample!r}; expected a text with {mask_token}")
    fields = ("question", "context") if request.head == "question-answering" else ("text", "text_pair")
    if isinstance(sample, str) and request.head != "question-answering":
        return sample
    if isinstance(sample, dict) and fields[0] in sample and set(sample) <= set(fields):
        texts = [sample[name] for name in fields if name in sample]
        return (texts[0], texts[1]) if len(texts) == 2 else texts[0]
    if isinstance(sample, (list, tuple)) and len(sample) == 2:
        return sample[0], sample[1]
    raise NotPrepared(
        f"a gate sample of {request.task} is {sample!r}; expected "
        + ("a text" if request.head != "question-answering" else '{"question": ..., "context": ...}')
    )
