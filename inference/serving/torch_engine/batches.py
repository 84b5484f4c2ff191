"""Groups inputs of like length, so that padding costs little and memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

MAX_PADDED_TOKENS = 4096
"""Rows times longest row of one batch. On two vCPUs a larger batch is no faster, only bigger."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(lengths: Sequence[int], max_padded_tokens: int = MAX_PADDED_TOKENS) -> Iterator[list[int]]:
    """Positions of `lengths` in groups, shortest first; a group's rows x longest stays within the bound.

    One input that is over the bound by itself is a group of its own.
    """
    group: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[position] > max_padded_tokens:
            yield group
            group = []
        group.append(position)
    if group:
        yield group


def run_batches(
    items: Sequence[Item],
    lengths: Sequence[int],
    run: Callable[[list[Item]], Sequence[Result]],
    max_padded_tokens: int = MAX_PADDED_TOKENS,
) -> list[Result]:
    """`run` over groups of `items`; the results in the order of `items`."""
    results: dict[int, Result] = {}
    for group in batches(lengths, max_padded_tokens):
        results |= zip(group, run([items[position] for position in group]), strict=True)
    return [results[position] for position in range(len(items))]
