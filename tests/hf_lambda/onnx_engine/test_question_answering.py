"""question-answering against the torch engine: transformers 5 has no pipeline for it."""

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.torch_engine import load as load_torch
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS

QUESTIONS = [
    {"question": "Where was Marie born?", "context": TEXTS[0]},
    {"question": "When?", "context": TEXTS[1]},
    {"question": "Wer wusste, warum?", "context": TEXTS[3]},
]
LONG = [{"question": "Where was Marie born?", "context": " ".join(TEXTS[:12])}]


@pytest.fixture(scope="module")
def both(pair):
    def make(family="bert"):
        made = pair("question-answering", family)
        return made.fast, load_torch("question-answering", made.snapshot)

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_answers_of_torch(both, family):
    fast, slow = both(family)
    for parameters in ({}, {"top_k": 3}):
        same(fast(LONG + QUESTIONS, **parameters), slow(LONG + QUESTIONS, **parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_k": 3},
        {"handle_impossible_answer": True},
        {"handle_impossible_answer": True, "top_k": 4},
        {"max_answer_len": 2},
        {"max_seq_len": 40, "doc_stride": 8},
        {"max_seq_len": 30, "doc_stride": 0, "top_k": 5},
    ],
)
@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2"])
def test_long_contexts_are_read_in_windows(both, family, parameters):
    fast, slow = both(family)
    same(fast(LONG + QUESTIONS, **parameters), slow(LONG + QUESTIONS, **parameters))


def test_an_answer_is_the_stretch_of_the_context_that_it_names(both):
    fast, _ = both()
    for given, answer in zip(QUESTIONS, fast(QUESTIONS), strict=True):
        assert given["context"][answer["start"] : answer["end"]] == answer["answer"]


def test_a_question_that_leaves_no_room_is_refused(both):
    with pytest.raises(Unprocessable, match=r"leaves no room for the context"):
        both()[0]([{"question": " ".join(TEXTS), "context": "a"}])


def test_an_overlap_longer_than_the_window_is_refused(both):
    with pytest.raises(BadRequest, match=r"doc_stride.*at most max_seq_len"):
        both()[0](QUESTIONS, max_seq_len=20, doc_stride=30)
