"""question-answering against the torch engine: transformers 5 has no pipeline for it."""

import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.question_answering import has_spaces
from hf_lambda.torch_engine import load as load_torch
from tests.families import others_slow
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


@pytest.mark.parametrize("family", others_slow(FAMILIES, "roberta"))
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
@pytest.mark.parametrize("family", others_slow(["roberta", "deberta-v2"], "roberta"))
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


WITHOUT_SPACES = [
    {
        "question": "首都は?",
        "context": "東京は日本の首都であり、人口は約千四百万人です。夏目漱石は東京で生まれた小説家です。",
    },
    {"question": "เมืองหลวง", "context": "ประเทศไทยมีเมืองหลวงคือกรุงเทพมหานคร และมีประชากรมาก"},
    {"question": "北京", "context": "北京是中国的首都，人口约两千万。" * 6},
    {"question": "where", "context": "anEnglishTextWhoseWordsAreAllWrittenTogetherWithoutAnySpaces" * 2},
]


@pytest.mark.parametrize("parameters", [{}, {"top_k": 3}, {"max_seq_len": 30, "doc_stride": 10, "top_k": 5}])
@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_texts_without_spaces_are_answered_by_tokens(both, family, parameters):
    fast, slow = both(family)
    found = fast(WITHOUT_SPACES, **parameters)
    same(found, slow(WITHOUT_SPACES, **parameters))
    same(found, fast(WITHOUT_SPACES, align_to_words=False, **parameters))
    for given, answers in zip(WITHOUT_SPACES, found, strict=True):
        for answer in answers if isinstance(answers, list) else [answers]:
            assert answer["answer"] == given["context"][answer["start"] : answer["end"]]
            assert 0 <= answer["score"] <= 1
    if family == "xlm-roberta":  # to BERT every character of it is a word
        assert fast([WITHOUT_SPACES[0]], align_to_words=True, **parameters) != found[:1]


def test_scores_stay_within_one_where_every_window_has_the_same_answer(both):
    fast, slow = both("xlm-roberta")
    given = [{"question": "首都は?", "context": "東京は日本の首都であり人口は約千四百万人です" * 12}]
    options = {"align_to_words": True, "max_seq_len": 30, "doc_stride": 10, "top_k": 3}
    for engine in (fast, slow):
        answers = engine(given, **options)[0]
        assert all(0 <= each["score"] <= 1 for each in (answers if isinstance(answers, list) else [answers]))


@pytest.mark.parametrize(
    "text", ["Paris", "supercalifragilisticexpialid", "서울은 한국의 수도이다", "Ærøskøbing 7:45", ""]
)
def test_words_with_spaces_between_them_stay_whole(text):
    assert has_spaces(text)
