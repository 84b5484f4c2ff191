"""Cutting inputs into padded batches."""

from hypothesis import given
from hypothesis import strategies as st

from serving.onnx_engine.batches import batches


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 1024))
def test_every_input_is_in_one_batch_and_no_batch_is_over_the_bound(lengths, most):
    groups = batches(lengths, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert longest * len(group) <= most or len(group) == 1
        assert lengths[group[0]] == longest


def test_like_lengths_run_together():
    assert batches([5, 100, 6, 99], 200) == [[1, 3], [2, 0]]
