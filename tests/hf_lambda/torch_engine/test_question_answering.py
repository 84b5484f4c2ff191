"""Question answering against a search through every span, as the pipeline of transformers 4 defined it."""

from __future__ import annotations

import numpy as np
import pytest

from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.torch_engine import load
from hf_lambda.torch_engine.question_answering import QuestionAnswering

QUESTION = "where is sarah ?"
CONTEXT = "Sarah lives in London and works in Paris . the zebra is in berlin ."


def spans(folder, question, context, max_answer_len=15):
    """Scores by (start, end) in one window: the 12 best spans of tokens, widened to words and summed."""
    import torch
    import transformers

    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(question, context, return_tensors="pt")
    with torch.inference_mode():
        output = model(**encoded)
    allowed = [which == 1 for which in encoded.sequence_ids(0)]
    allowed[0] = True
    start, end = (
        torch.softmax(torch.where(torch.tensor(allowed), logits[0], torch.tensor(-10000.0)), 0).numpy()
        for logits in (output.start_logits, output.end_logits)
    )
    every = []
    for first in range(1, len(allowed)):
        for last in range(first, min(first + max_answer_len, len(allowed))):
            if allowed[first] and allowed[last]:
                begin = encoded.word_to_chars(encoded.token_to_word(0, first), sequence_index=1).start
                stop = encoded.word_to_chars(encoded.token_to_word(0, last), sequence_index=1).end
                every.append((float(start[first] * end[last]), begin, stop))
    found: dict[tuple[int, int], float] = {}
    for score, begin, stop in sorted(every, reverse=True)[:12]:
        found[begin, stop] = found.get((begin, stop), 0.0) + score
    return found, float(start[0] * end[0])


def test_the_answer_is_the_best_span_of_words(tiny):
    folder = tiny("BertForQuestionAnswering")
    answer = load("question-answering", folder)([{"question": QUESTION, "context": CONTEXT}])[0]
    every, _ = spans(folder, QUESTION, CONTEXT)
    assert (answer["start"], answer["end"]) == max(every, key=every.get)
    assert answer["answer"] == CONTEXT[answer["start"] : answer["end"]]
    assert answer["score"] == pytest.approx(max(every.values()), abs=1e-6)


def test_an_answer_has_at_most_so_many_tokens(tiny):
    folder = tiny("BertForQuestionAnswering")
    answer = load("question-answering", folder)(
        [{"question": QUESTION, "context": CONTEXT}], max_answer_len=1
    )
    every, _ = spans(folder, QUESTION, CONTEXT, max_answer_len=1)
    assert (answer[0]["start"], answer[0]["end"]) == max(every, key=every.get)


@pytest.mark.parametrize("most", [1, 3])
def test_no_answer_is_longer_than_allowed(tiny, most):
    engine = load("question-answering", tiny("BertForQuestionAnswering"))
    parameters = {"top_k": 200, "max_answer_len": most}
    answers = engine([{"question": QUESTION, "context": "the cat sat on the mat " * 3}], **parameters)[0]
    assert max(len(answer["answer"].split()) for answer in answers) == most


def test_the_best_answers_come_best_first_and_once_each(tiny):
    engine = load("question-answering", tiny("BertForQuestionAnswering"))
    answers = engine([{"question": QUESTION, "context": CONTEXT}], top_k=4)[0]
    scores = [answer["score"] for answer in answers]
    assert len(answers) == 4
    assert scores == sorted(scores, reverse=True)
    assert len({answer["answer"].lower() for answer in answers}) == 4


def test_no_answer_competes_when_asked(tiny):
    folder = tiny("BertForQuestionAnswering")
    engine = load("question-answering", folder)
    answers = engine([{"question": QUESTION, "context": CONTEXT}], top_k=400, handle_impossible_answer=True)[
        0
    ]
    _, none = spans(folder, QUESTION, CONTEXT)
    empty = [answer for answer in answers if answer["answer"] == "" and answer["score"] > 0]
    assert empty == [{"score": pytest.approx(none, abs=1e-6), "start": 0, "end": 0, "answer": ""}]


def test_a_long_context_is_read_in_windows_and_answered_by_characters(tiny):
    engine = QuestionAnswering(tiny("BertForQuestionAnswering"))
    context = "the cat sat on the mat . " * 40 + "zebra"
    answer = engine([{"question": QUESTION, "context": context}])[0]
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    windows = engine._encode({"question": QUESTION, "context": context}, {})
    assert len(windows["input_ids"]) > 5
    assert max(len(ids) for ids in windows["input_ids"]) == 64
    assert windows["offset_mapping"][-1][-2] == (len(context) - 1, len(context))


def test_a_batch_gives_what_each_gives_alone(tiny):
    engine = load("question-answering", tiny("BertForQuestionAnswering"))
    items = [{"question": QUESTION, "context": CONTEXT * times} for times in (1, 6, 2)]
    alone = [engine([item])[0] for item in items]
    for together, one in zip(engine(items), alone, strict=True):
        assert together | {"score": 0} == one | {"score": 0}
        assert together["score"] == pytest.approx(one["score"], abs=1e-5)


def test_a_question_that_leaves_no_room_is_unprocessable(tiny):
    engine = load("question-answering", tiny("BertForQuestionAnswering"))
    with pytest.raises(Unprocessable, match="the question has 60 tokens"):
        engine([{"question": "cat " * 60, "context": CONTEXT}])


def test_windows_cannot_overlap_by_more_than_they_hold(tiny):
    engine = load("question-answering", tiny("BertForQuestionAnswering"))
    with pytest.raises(BadRequest, match=r"doc_stride.*at most max_seq_len \(32\)"):
        engine([{"question": QUESTION, "context": CONTEXT}], max_seq_len=32, doc_stride=40)


def test_scores_of_padding_never_count(tiny):
    engine = QuestionAnswering(tiny("BertForQuestionAnswering"))
    rows = [
        {"input_ids": [2, 5, 3], "attention_mask": [1, 1, 1]},
        {"input_ids": [2, 3], "attention_mask": [1, 1]},
    ]
    assert [len(start) for start, _ in engine._infer(rows)] == [3, 2]
    assert all(np.isfinite(start).all() for start, _ in engine._infer(rows))
