"""Cutting a list of inputs into padded batches: like lengths together, none larger than a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(lengths: Sequence[int], max_tokens: int, max_padding: int | None = None) -> list[list[int]]:
    """Indices of `lengths`, longest first, in groups whose rows x longest is at most `max_tokens`.

    An input that is longer than the bound makes a batch of its own.
    max_padding: tokens that a row may be filled up with; None: any number.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[groups[-1][0]] if groups else 0
        is_like = max_padding is None or longest - lengths[index] <= max_padding
        if groups and is_like and longest * (len(groups[-1]) + 1) <= max_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def run_batches(
    items: Sequence[Item],
    lengths: Sequence[int],
    run: Callable[[list[Item]], Sequence[Result]],
    max_tokens: int,
) -> list[Result]:
    """`run` over groups of `items`; the results in the order of `items`."""
    results: dict[int, Result] = {}
    for group in batches(lengths, max_tokens):
        results |= zip(group, run([items[index] for index in group]), strict=True)
    return [results[index] for index in range(len(items))]
