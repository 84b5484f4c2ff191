"""A prepared language model: its session, and the cache of keys and values that the graph writes into."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import IOBinding, OrtValue

from ..session import open_session

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

CHUNK = 256
"""Tokens of a prompt that one run reads: attention over a chunk is held whole, chunk by context."""
GRAPH = "decoder.onnx"


class Model:
    """The graph over rows of text. Each row has its own length; `held` says which tokens it has read.

    A row that is read again keeps what it has in common with the new text, or takes it from another row: a
    prompt that begins as one before it (a system prompt, the chat so far) costs only what is new.
    """

    def __init__(self, prepared: Path, context: int, *, prepack: bool = True) -> None:
        """context: tokens that a row holds at most; memory is taken only for those that it does hold."""
        self._session = open_session(prepared / GRAPH, prepack=prepack)
        shapes = {value.name: value.shape for value in self._session.get_inputs()}
        self._caches = {name: shape for name, shape in shapes.items() if name.startswith("past.")}
        self._output = self._session.get_outputs()[0].name
        self._buffers: dict[str, Floats] = {}
        self._bindings: dict[tuple[int, int], IOBinding] = {}
        self.context = context
        self.held: list[list[int]] = []

    @property
    def bytes_per_token(self) -> int:
        """Of one row's cache."""
        return sum(4 * shape[1] * shape[3] for shape in self._caches.values())

    def read(self, row: int, tokens: Sequence[int]) -> Floats:
        """Make `row` hold `tokens`; the graph's output after the last of them (width)."""
        tokens = list(tokens)
        self.make_rows(row + 1)
        for begin in range(self._reuse(row, tokens), len(tokens), CHUNK):
            chunk = tokens[begin : begin + CHUNK]
            self.held[row] = tokens[: begin + len(chunk)]
            output = self._run(row, row + 1, np.array([chunk], np.int64), np.array([[len(chunk) - 1]]))
        last: Floats = output[0, 0]
        return last

    def outputs(self, row: int, tokens: Sequence[int], start: int = 0) -> Floats:
        """Make `row` hold `tokens`, of which it has the first `start`; the output after the others."""
        tokens = list(tokens)
        self.make_rows(row + 1)
        outputs = []
        for begin in range(start, len(tokens), CHUNK):
            chunk = tokens[begin : begin + CHUNK]
            self.held[row] = tokens[: begin + len(chunk)]
            outputs.append(self._run(row, row + 1, np.array([chunk], np.int64), np.arange(len(chunk))[None]))
        joined: Floats = np.concatenate(outputs, axis=1)[0]
        return joined

    def step(self, tokens: Sequence[int]) -> Floats:
        """Append one token to each of the first rows; the graph's output after them (rows, width).

        A row that is full has ended, beside others that go on: it reads its last token again.
        """
        for held, token in zip(self.held, tokens, strict=False):
            if len(held) < self.context:
                held.append(token)
        ids = np.array(tokens, np.int64)[:, None]
        return self._run(0, len(tokens), ids, np.zeros((len(tokens), 1), np.int64))[:, 0]

    def copy(self, source: int, target: int, length: int | None = None) -> None:
        """Make row `target` hold the first `length` tokens (None: all) of row `source`."""
        self.make_rows(target + 1)
        length = len(self.held[source]) if length is None else length
        if source != target:
            for buffer in self._buffers.values():
                buffer[target, :, :length] = buffer[source, :, :length]
        self.held[target] = self.held[source][:length]

    def rearrange(self, sources: Sequence[int]) -> None:
        """Row i goes on from what row `sources[i]` holds now."""
        moved = [(target, source) for target, source in enumerate(sources) if target != source]
        if not moved:
            return
        self.make_rows(len(sources))
        longest = max(len(self.held[source]) for _, source in moved)
        targets, origins = ([pair[side] for pair in moved] for side in (0, 1))
        for buffer in self._buffers.values():
            buffer[targets, :, :longest] = buffer[origins, :, :longest]
        held = {target: list(self.held[source]) for target, source in moved}
        for target, tokens in held.items():
            self.held[target] = tokens

    def make_rows(self, count: int) -> None:
        """Have `count` rows at least; one by one, each would move all that are there."""
        if count > len(self.held):
            self._allocate(count)
            self.held += [[] for _ in range(count - len(self.held))]

    def keep_rows(self, count: int) -> None:
        """Give back the memory of all rows but the first `count`."""
        if len(self.held) > count:
            self._allocate(count)
            del self.held[count:]

    def _reuse(self, row: int, tokens: list[int]) -> int:
        """How many of `tokens` the row holds after taking what any row has of them; one is left to read."""
        most = len(tokens) - 1
        shared = [min(_common(held, tokens), most) for held in self.held]
        best = max(range(len(shared)), key=lambda other: (shared[other], other == row))
        self.copy(best, row, shared[best])
        return shared[best]

    def _allocate(self, count: int) -> None:
        """Buffers of `count` rows, with what the rows before hold."""
        self._bindings.clear()
        for name, shape in self._caches.items():
            buffer = _lazy((count, shape[1], self.context, shape[3]))
            for row, held in enumerate(self.held[:count]):
                buffer[row, :, : len(held)] = self._buffers[name][row, :, : len(held)]
            self._buffers[name] = buffer

    def _run(self, first: int, end: int, ids: Ids, asked: Ids) -> Floats:
        """The rows `first` to `end` read `ids`, which `held` has already; the output at `asked` (rows, n)."""
        binding = self._bound(first, end)
        lengths = np.array([len(held) for held in self.held[first:end]], np.int32)
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("last", lengths - 1)
        binding.bind_cpu_input("longest", np.array(lengths.max(), np.int32))
        binding.bind_cpu_input("positions", np.ascontiguousarray(asked[..., None], np.int64))
        binding.bind_output(self._output)
        try:
            self._session.run_with_iobinding(binding)
        except Exception:
            self.held = [[] for _ in self.held]  # nobody knows what was written
            raise
        # Bound last, after the caches.
        output: Floats = binding.get_outputs()[-1].numpy()
        return output

    def _bound(self, first: int, end: int) -> IOBinding:
        if (first, end) not in self._bindings:
            binding = self._session.io_binding()
            for name, buffer in self._buffers.items():
                value = OrtValue.ortvalue_from_numpy(buffer[first:end])
                binding.bind_ortvalue_input(name, value)
                binding.bind_ortvalue_output(name.replace("past.", "present."), value)
            self._bindings[first, end] = binding
        return self._bindings[first, end]


def _lazy(shape: tuple[int, ...]) -> Floats:
    """Zeros that take memory where they are written, and give it back when they go.

    Not numpy's: what its allocator has freed and hands out again is already in memory, all of it.
    """
    size = 4 * int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, size), np.float32).reshape(shape)


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
