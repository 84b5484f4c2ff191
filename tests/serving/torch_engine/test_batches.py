"""Batches of like length within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.torch_engine.batches import batches, run_batches

LENGTHS = st.lists(st.integers(0, 60), max_size=40)


@given(LENGTHS, st.integers(1, 200))
def test_every_input_is_in_one_batch_and_batches_stay_within_the_bound(lengths, bound):
    groups = list(batches(lengths, bound))
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[position] for position in group)
        assert len(group) == 1 or len(group) * longest <= bound
    ordered = [lengths[position] for group in groups for position in group]
    assert ordered == sorted(lengths)


@given(LENGTHS, st.integers(1, 200))
def test_results_come_in_the_order_of_the_inputs(lengths, bound):
    items = list(enumerate(lengths))
    assert run_batches(items, lengths, lambda group: group, bound) == items


def test_short_inputs_share_a_batch():
    assert list(batches([5, 4, 100, 6], 15)) == [[1, 0], [3], [2]]
