"""int8: matrices and embedding tables of an optimised graph as 8-bit integers with a scale per column or row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from . import weights

MICROSOFT = "com.microsoft"
_MATRIX_BYTES = 1 << 16
"""Smaller ones (a classifier's few rows) gain nothing and cost the most accuracy."""


def quantize(source: Path, target: Path, *, machine: str) -> int:
    """Write `source`, an optimised fp32 graph, as int8 to `target`; return the bytes before its embeddings.

    Activations are quantised as they come, to 8 bits without sign, once per tensor however many matrices
    read it. Matrices get one scale per column. On x86 they use 7 bits (`levels`): without VNNI the CPU adds
    pairs of products in 16 bits, and 255 x 127 x 2 does not fit while 255 x 64 x 2 does. The function may
    land on any x86 CPU, so this does not depend on the one at hand. Embedding tables get one scale per row
    and always 8 bits: they are looked up, not multiplied.
    """
    model = weights.load_graph(source)
    rewrite = _Rewrite(model, source.parent, levels(machine))
    rewrite.run()
    if not any(entry.domain == MICROSOFT for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return weights.save(model, target, rewrite.read)


def levels(machine: str) -> int:
    """Largest absolute value of a quantised matrix: 64 on x86 (`reduce_range`), 127 elsewhere."""
    return 64 if machine in ("x86_64", "AMD64", "i686") else 127


def quantized(matrix: Any, axis: int, largest: int) -> tuple[Any, Any]:
    """int8 values of `matrix`, symmetric, and one scale per index of the axis that is not reduced.

    axis: the one to reduce (0: a scale per column, 1: a scale per row).
    """
    peaks = np.abs(matrix).max(axis=axis, keepdims=True).astype(np.float32)
    scale = np.where(peaks > 0, peaks / largest, 1.0).astype(np.float32)
    values = np.clip(np.rint(matrix / scale), -largest, largest).astype(np.int8)
    return values, scale.squeeze(axis)


class _Rewrite:
    """Replaces nodes of one graph; matrices are quantised while they are written, one at a time."""

    def __init__(self, model: Any, folder: Path, largest: int) -> None:
        self._model, self._folder, self._largest = model, folder, largest
        self._tensors = weights.initializers(model)
        self._tables = weights.embedding_tables(model)
        self._activations: dict[str, tuple[str, str, str]] = {}
        self._jobs: dict[str, tuple[str, int, int]] = {}
        self._scales: dict[str, Any] = {}

    def run(self) -> None:
        old = list(self._model.graph.node)
        del self._model.graph.node[:]
        for node in old:
            self._model.graph.node.extend(self._replacement(node))
        weights.remove_unused(self._model)

    def read(self, tensor: Any) -> Any:
        """Value to write for `tensor`; the scales of a matrix are kept from the one read of it."""
        if tensor.name in self._jobs:
            return self._quantized(tensor.name)[0]
        if tensor.name.endswith(_SCALE) and tensor.name.removesuffix(_SCALE) in self._jobs:
            return self._quantized(tensor.name.removesuffix(_SCALE))[1]
        return weights.array(tensor, self._folder)

    def _quantized(self, name: str) -> tuple[Any, Any]:
        source, axis, largest = self._jobs[name]
        if name in self._scales:  # the values were written before, only the scale is asked for
            return None, self._scales.pop(name)
        values, scale = quantized(weights.array(self._tensors[source], self._folder), axis, largest)
        self._scales[name] = scale if axis == 0 else scale[:, None]
        return values, self._scales[name]

    def _replacement(self, node: Any) -> Iterator[Any]:
        if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
            yield from self._matmul(node)
        elif node.op_type == "Gather" and node.input[0] in self._tables and self._is_matrix(node.input[0]):
            yield from self._gather(node)
        else:
            yield node

    def _is_matrix(self, name: str) -> bool:
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2:
            return False
        return 4 * tensor.dims[0] * tensor.dims[1] >= _MATRIX_BYTES

    def _matmul(self, node: Any) -> Iterator[Any]:
        activation, matrix = node.input
        if activation not in self._activations:
            names = tuple(f"{activation}{part}" for part in ("_u8", "_u8_scale", "_u8_zero"))
            self._activations[activation] = names  # type: ignore[assignment]
            yield helper.make_node("DynamicQuantizeLinear", [activation], list(names))
        values, scale, zero = self._activations[activation]
        name = self._declare(matrix, axis=0, largest=self._largest)
        inputs = [values, name, scale, name + _SCALE, zero]
        yield helper.make_node("MatMulIntegerToFloat", inputs, list(node.output), domain=MICROSOFT)

    def _gather(self, node: Any) -> Iterator[Any]:
        table, rows = node.input
        name = self._declare(table, axis=1, largest=127)
        output = node.output[0]
        yield helper.make_node("Gather", [name, rows], [f"{output}_i8"])
        yield helper.make_node("Cast", [f"{output}_i8"], [f"{output}_whole"], to=TensorProto.FLOAT)
        yield helper.make_node("Gather", [name + _SCALE, rows], [f"{output}_scale"])
        yield helper.make_node("Mul", [f"{output}_whole", f"{output}_scale"], [output])

    def _declare(self, source: str, *, axis: int, largest: int) -> str:
        """Initializers for the quantised `source` and its scales; their values follow while saving."""
        name = f"{source}_i8" if axis == 0 else f"{source}_rows_i8"
        if name not in self._jobs:
            self._jobs[name] = (source, axis, largest)
            dims = list(self._tensors[source].dims)
            self._model.graph.initializer.add(name=name, data_type=TensorProto.INT8).dims.extend(dims)
            scales = [dims[1]] if axis == 0 else [dims[0], 1]
            tensor = self._model.graph.initializer.add(name=name + _SCALE, data_type=TensorProto.FLOAT)
            tensor.dims.extend(scales)
        return name


_SCALE = "_scale"
