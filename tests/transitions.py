"""A way through what a setting may be that takes every change of it."""

from __future__ import annotations

from collections.abc import Iterator


def transitions(modes: tuple[str, ...]) -> Iterator[str]:
    """A way through the modes that takes each change from one to another once, and ends where it began."""
    left = {mode: [other for other in modes if other != mode] for mode in modes}
    stack, way = [modes[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            way.append(stack.pop())
    yield from reversed(way)
