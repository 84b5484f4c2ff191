"""What single options do to scores, where whole generations would seldom show it."""

from __future__ import annotations

import numpy as np

from hf_lambda.onnx_engine.generation.options import resolve
from hf_lambda.onnx_engine.generation.processors import processors_for

SHIPPED = {"decoder_start_token_id": 0, "eos_token_id": 1, "max_length": 6}


def scores_after(
    tokens: list[list[int]], sources: list[list[int]], owners: list[int], **options
) -> np.ndarray:
    """Scores of ten tokens, all 1 before, after every processor of `options`."""
    scores = np.ones((len(tokens), 10), np.float32)
    for process in processors_for(resolve(SHIPPED, options), sources):
        scores = process(np.array(tokens), scores, np.array(owners))
    return scores


def forbidden(scores: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(np.isneginf(row)).tolist() for row in scores]


def test_tokens_are_kept_from_the_beginning_which_a_forced_token_moves_by_one():
    plain, forced = {"begin_suppress_tokens": [4]}, {"begin_suppress_tokens": [4], "forced_bos_token_id": 7}
    assert forbidden(scores_after([[0]], [[9]], [0], **plain)) == [[4]]
    assert forbidden(scores_after([[0, 7]], [[9]], [0], **plain)) == [[]]
    assert forbidden(scores_after([[0, 7]], [[9]], [0], **forced)) == [[4]]
    assert forbidden(scores_after([[0, 7, 5]], [[9]], [0], **forced)) == [[]]


def test_an_end_is_forced_with_the_last_token():
    almost = scores_after([[0, 5, 5, 5]], [[9]], [0], forced_eos_token_id=1)
    last = scores_after([[0, 5, 5, 5, 5]], [[9]], [0], forced_eos_token_id=1)
    assert forbidden(almost) == [[]]
    assert forbidden(last) == [[0, *range(2, 10)]]
    assert last[0, 1] == 0


def test_penalties_of_the_source_are_those_of_the_rows_own_source():
    sources = [[3, 4, 5], [6, 7]]
    banned = scores_after([[0, 3], [0, 6]], sources, [0, 1], encoder_no_repeat_ngram_size=2)
    assert forbidden(banned) == [[4], [7]]
    likelier = scores_after([[0], [0]], sources, [1, 0], encoder_repetition_penalty=2.0)
    assert [np.flatnonzero(row > 1).tolist() for row in likelier] == [[6, 7], [3, 4, 5]]


def test_a_word_of_several_tokens_is_bad_only_after_its_beginning():
    words = [[2], [3, 4], [5, 6, 7], [1]]
    assert forbidden(scores_after([[0, 3], [6, 6], [5, 6]], [[9]], [0] * 3, bad_words_ids=words)) == [
        [2, 4],
        [2],
        [2, 7],
    ], "the end of the sequence is never a bad word"


def test_an_ngram_is_not_written_twice():
    assert forbidden(scores_after([[0, 3, 4, 5, 3, 4]], [[9]], [0], no_repeat_ngram_size=3)) == [[5]]
    assert forbidden(scores_after([[0, 3, 4, 5, 3, 4]], [[9]], [0], no_repeat_ngram_size=4)) == [[]]
    assert forbidden(scores_after([[0, 3]], [[9]], [0], no_repeat_ngram_size=1)) == [[0, 3]]


def test_values_that_are_no_numbers_are_replaced_where_asked():
    scores = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    (process,) = processors_for(resolve(SHIPPED, {"remove_invalid_values": True}), [[9]])
    limits = np.finfo(np.float32)
    assert process(np.array([[0]]), scores, np.array([0])).tolist() == [[0.0, limits.max, limits.min]]
