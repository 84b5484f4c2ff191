"""Batches of like length within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hf_lambda.batches import batches, run_batches

LENGTHS = st.lists(st.integers(0, 600), max_size=60)
BOUNDS = st.integers(1, 1024)


@given(LENGTHS, BOUNDS)
def test_every_input_is_in_one_batch_and_no_batch_is_over_the_bound(lengths, bound):
    groups = batches(lengths, bound)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert longest * len(group) <= bound or len(group) == 1
        assert lengths[group[0]] == longest


@given(LENGTHS, BOUNDS)
def test_inputs_run_by_length_longest_first(lengths, bound):
    ordered = [lengths[index] for group in batches(lengths, bound) for index in group]
    assert ordered == sorted(lengths, reverse=True)


@given(LENGTHS, BOUNDS)
def test_results_come_in_the_order_of_the_inputs(lengths, bound):
    items = list(enumerate(lengths))
    assert run_batches(items, lengths, lambda group: group, bound) == items


def test_like_lengths_share_a_batch():
    assert batches([5, 100, 6, 99], 200) == [[1, 3], [2, 0]]


@given(LENGTHS, BOUNDS, st.integers(0, 40))
def test_no_row_is_filled_up_with_more_than_is_allowed(lengths, bound, most):
    groups = batches(lengths, bound, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert max(lengths[group[0]] - lengths[index] for index in group) <= most


def test_a_short_input_is_not_filled_up_to_a_long_one():
    assert batches([500, 20, 18], 1024) == [[0, 1], [2]]
    assert batches([500, 20, 18], 1024, 8) == [[0], [1, 2]]
