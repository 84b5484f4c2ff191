"""int8: matrices and embedding tables as 8-bit integers with a scale per column or row.

The few channels whose activations are far larger than all others stay in fp32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from hf_lambda.onnx_engine.session import open_session

from . import weights
from .weights import Graph

MICROSOFT = "com.microsoft"
_MATRIX_BYTES = 1 << 16
"""Smaller ones (a classifier's few rows) gain nothing and cost the most accuracy."""
CHANNELS = 8
"""At most so many per matrix: each costs a column of fp32 arithmetic."""
_GAIN = 2.0
"""How much smaller the range has to become without them to be worth it."""


def quantize(
    source: Path,
    target: Path,
    *,
    machine: str,
    feeds: Iterable[Mapping[str, NDArray[Any]]] | None = None,
    fp32_fraction: float = 0.0,
) -> int:
    """Write `source`, an optimised fp32 graph, as int8 to `target`; return the bytes before its embeddings.

    Activations are quantised as they come, to 8 bits without sign, once per tensor however many matrices
    read it. Matrices get one scale per column. On x86 they use 7 bits (`qmax`): without VNNI the CPU adds
    pairs of products in 16 bits, and 255 x 127 x 2 does not fit while 255 x 64 x 2 does. The function may
    land on any x86 CPU, so this does not depend on the one at hand. Embedding tables get one scale per row
    and always 8 bits: they are looked up, not multiplied.

    feeds: inputs to find the channels with that stay in fp32, see `outlier_channels`; without them none do.
    fp32_fraction: share of the matrices, from the end of the graph, that stay fp32. Errors of the last layers
    reach the output as they are, those before are evened out.
    """
    model = weights.load_graph(source)
    rewrite = _Rewrite(model, source.parent, qmax(machine), fp32_fraction)
    if feeds is not None:
        rewrite.outliers = outlier_channels(source, rewrite.multiplied(), feeds)
    rewrite.run()
    if not any(entry.domain == MICROSOFT for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return weights.save(model, target, rewrite.read)


def qmax(machine: str) -> int:
    """Largest absolute value of a quantised matrix: 64 on x86 (`reduce_range`), 127 elsewhere."""
    return 64 if machine in ("x86_64", "AMD64", "i686") else 127


def quantized(matrix: NDArray[Any], axis: int, qmax: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """int8 values of `matrix`, symmetric, and one scale per index of the axis that is not reduced.

    axis: the one to reduce (0: a scale per column, 1: a scale per row).
    """
    found = [np.abs(matrix[rows]).max(axis=axis, keepdims=True) for rows in weights.parts(matrix)]
    peaks = np.concatenate(found) if axis else np.max(found, axis=0)
    scale = np.where(peaks > 0, peaks / qmax, 1.0).astype(np.float32)
    values = np.empty(matrix.shape, np.int8)
    for rows in weights.parts(matrix):
        exact = matrix[rows] / (scale[rows] if axis else scale)
        values[rows] = np.clip(np.rint(exact, out=exact), -qmax, qmax)
    return values, scale.squeeze(axis)


@dataclass(frozen=True)
class _Weight:
    """A weight to write quantised: that of the initializer `source`, see `quantized`."""

    source: str
    axis: int
    qmax: int


class _Rewrite:
    """Replaces nodes of one graph; matrices are quantised while they are written, one at a time."""

    def __init__(self, model: ModelProto, folder: Path, matrix_qmax: int, fp32_fraction: float) -> None:
        self._model, self._folder, self._matrix_qmax = model, folder, matrix_qmax
        self._tensors = weights.initializers(model)
        self._tables = weights.embedding_tables(model)
        products = [
            node for node in model.graph.node if node.op_type == "MatMul" and self._is_matrix(node.input[1])
        ]
        self._products = products[: len(products) - round(fp32_fraction * len(products))]
        self._quantize = {node.output[0] for node in self._products}
        self._activations: dict[str, tuple[str, str, str]] = {}
        self._weights: dict[str, _Weight] = {}
        self._biases: dict[str, tuple[str, str]] = {}
        self._fused_adds: set[str] = set()
        self._scales: dict[str, NDArray[Any]] = {}
        self._outlier_rows: dict[str, tuple[str, list[int]]] = {}
        self.outliers: dict[str, list[int]] = {}

    def multiplied(self) -> list[tuple[str, str]]:
        """(activation, matrix) of every product to quantise."""
        return [(node.input[0], node.input[1]) for node in self._products]

    def run(self) -> None:
        old = list(self._model.graph.node)
        self._find_biases(old)
        del self._model.graph.node[:]
        for node in old:
            self._model.graph.node.extend(self._replacement(node))
        weights.remove_unused(self._model)

    def _find_biases(self, nodes: list[NodeProto]) -> None:
        """Products that nobody reads but an Add of a bias: the product adds it itself, in fp32."""
        graph = Graph(self._model)
        for node in nodes:
            parts = graph.bias(node) if node.op_type == "Add" else None
            if parts is not None and parts[0] in self._quantize and graph.readers[parts[0]] == 1:
                self._biases[parts[0]] = (parts[1], node.output[0])
                self._fused_adds.add(node.output[0])

    def read(self, tensor: TensorProto) -> NDArray[Any]:
        """Value to write for `tensor`; the scales of a matrix are kept from the one read of it."""
        if tensor.name in self._weights:
            return self._values(tensor.name)
        if tensor.name.endswith(_SCALE) and tensor.name.removesuffix(_SCALE) in self._weights:
            name = tensor.name.removesuffix(_SCALE)
            if name not in self._scales:
                self._values(name)
            return self._scales.pop(name)
        if tensor.name in self._outlier_rows:
            source, rows = self._outlier_rows[tensor.name]
            return weights.array(self._tensors[source], self._folder)[rows]
        return weights.array(tensor, self._folder)

    def _values(self, name: str) -> NDArray[Any]:
        """The quantised matrix; its scale is kept until it is asked for, which is next."""
        weight = self._weights[name]
        matrix = weights.array(self._tensors[weight.source], self._folder)
        if weight.axis == 0 and (apart := f"{weight.source}_rows") in self._outlier_rows:
            # These rows meet zeros, their products are fp32: they must not widen the scales of the others.
            matrix = np.array(matrix)
            matrix[self._outlier_rows[apart][1]] = 0.0
        values, scale = quantized(matrix, weight.axis, weight.qmax)
        self._scales[name] = scale if weight.axis == 0 else scale[:, None]
        return values

    def _replacement(self, node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type == "MatMul" and node.output[0] in self._quantize:
            yield from self._matmul(node)
        elif node.op_type == "Gather" and node.input[0] in self._tables and self._is_matrix(node.input[0]):
            yield from self._gather(node)
        elif node.output[0] not in self._fused_adds:
            yield node

    def _is_matrix(self, name: str) -> bool:
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2:
            return False
        return bool(4 * tensor.dims[0] * tensor.dims[1] >= _MATRIX_BYTES)

    def _matmul(self, node: NodeProto) -> Iterator[NodeProto]:
        activation, matrix = node.input
        if activation not in self._activations:
            yield from self._quantize_activation(activation)
        values, scale, zero = self._activations[activation]
        name = self._declare(matrix, axis=0, qmax=self._matrix_qmax)
        inputs = [values, name, scale, name + _SCALE, zero]
        bias, output = self._biases.get(node.output[0], ("", node.output[0]))
        if bias:
            inputs += ["", bias]
        channels = self.outliers.get(activation)
        if not channels:
            yield helper.make_node("MatMulIntegerToFloat", inputs, [output], domain=MICROSOFT)
            return
        rows = f"{matrix}_rows"
        if rows not in self._outlier_rows:
            self._outlier_rows[rows] = (matrix, channels)
            self._initializer(rows, TensorProto.FLOAT, [len(channels), self._tensors[matrix].dims[1]])
        yield helper.make_node("MatMulIntegerToFloat", inputs, [f"{output}_most"], domain=MICROSOFT)
        yield helper.make_node("MatMul", [f"{activation}_few", rows], [f"{output}_few"])
        yield helper.make_node("Add", [f"{output}_most", f"{output}_few"], [output])

    def _quantize_activation(self, name: str) -> Iterator[NodeProto]:
        """`<name>_u8` and its scale; the outlier channels apart as `<name>_few`, zero in the others."""
        parts = f"{name}_u8", f"{name}_u8_scale", f"{name}_u8_zero"
        self._activations[name] = parts
        channels = self.outliers.get(name)
        if channels:
            width = self._tensors[dict(self.multiplied())[name]].dims[0]
            keep = np.ones(width, np.float32)
            keep[channels] = 0.0
            self._model.graph.initializer.append(numpy_helper.from_array(keep, f"{name}_keep"))
            where = np.array(channels, np.int64)
            self._model.graph.initializer.append(numpy_helper.from_array(where, f"{name}_channels"))
            yield helper.make_node("Gather", [name, f"{name}_channels"], [f"{name}_few"], axis=-1)
            yield helper.make_node("Mul", [name, f"{name}_keep"], [f"{name}_most"])
            name = f"{name}_most"
        yield helper.make_node("DynamicQuantizeLinear", [name], list(parts))

    def _gather(self, node: NodeProto) -> Iterator[NodeProto]:
        table, rows = node.input
        name = self._declare(table, axis=1, qmax=127)
        output = node.output[0]
        yield helper.make_node("Gather", [name, rows], [f"{output}_i8"])
        yield helper.make_node("Cast", [f"{output}_i8"], [f"{output}_whole"], to=TensorProto.FLOAT)
        yield helper.make_node("Gather", [name + _SCALE, rows], [f"{output}_scale"])
        yield helper.make_node("Mul", [f"{output}_whole", f"{output}_scale"], [output])

    def _declare(self, source: str, *, axis: int, qmax: int) -> str:
        """Initializers for the quantised `source` and its scales; their values follow while saving."""
        name = f"{source}_i8" if axis == 0 else f"{source}_rows_i8"
        if name not in self._weights:
            self._weights[name] = _Weight(source, axis, qmax)
            dims = list(self._tensors[source].dims)
            self._initializer(name, TensorProto.INT8, dims)
            self._initializer(name + _SCALE, TensorProto.FLOAT, [dims[1]] if axis == 0 else [dims[0], 1])
        return name

    def _initializer(self, name: str, data_type: int, dims: list[int]) -> None:
        self._model.graph.initializer.add(name=name, data_type=data_type).dims.extend(dims)


_SCALE = "_scale"


def outlier_channels(
    source: Path, products: Sequence[tuple[str, str]], feeds: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, list[int]]:
    """Channels of activations to keep in fp32, from runs of the graph `source` over `feeds`.

    products: (activation, matrix) of each. Activations that meet one matrix, as those of ALBERT's layers do,
    get the same channels, since the rows of that matrix are kept once.

    One scale serves a whole activation, and in trained encoders a handful of channels, the same ones for
    every text, reach ten times as far as the rest: they take the bits away from it (Dettmers et al. 2022,
    "LLM.int8()"). all-MiniLM-L6-v2: the worst cosine over the samples goes from 0.975 to 0.996.
    """
    names = sorted({activation for activation, _ in products})
    if not names:  # no matrix is large enough; a session that is asked for nothing gives everything
        return {}
    peaks: dict[str, NDArray[Any]] = {}
    session = _with_outputs(source, names)
    for feed in feeds:
        for name, value in zip(names, session.run(names, dict(feed)), strict=True):
            peak = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, 0.0), peak)
    found = {name: _outliers(peak) for name, peak in peaks.items()}
    return {name: channels for name, channels in _shared(products, found).items() if channels}


def _shared(products: Sequence[tuple[str, str]], found: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Every activation with the channels of all that it shares a matrix with, directly or through others."""
    groups: list[tuple[set[str], set[int]]] = []
    for activation, matrix in products:
        joined = [group for group in groups if not group[0].isdisjoint((activation, matrix))]
        groups = [group for group in groups if group not in joined]
        names = {activation, matrix}.union(*(names for names, _ in joined))
        groups.append((names, set(found[activation]).union(*(channels for _, channels in joined))))
    return {name: sorted(channels) for names, channels in groups for name in names if name in found}


def _outliers(peaks: NDArray[Any]) -> list[int]:
    """The fewest of the largest channels without which the range is near its smallest, or none."""
    order = np.argsort(-peaks, kind="stable")
    ranges = peaks[order[: CHANNELS + 1]]
    if len(ranges) <= CHANNELS or ranges[0] < _GAIN * ranges[-1]:
        return []
    count = int(np.argmax(ranges <= 1.15 * ranges[-1]))
    return sorted(int(channel) for channel in order[:count])


def _with_outputs(source: Path, outputs: Iterable[str]) -> InferenceSession:
    """`source` with more outputs. The copy lies beside it, where its weights are found."""
    model = weights.load_graph(source)
    known = {output.name for output in model.graph.output}
    for name in outputs:
        if name not in known:
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    with tempfile.NamedTemporaryFile(dir=source.parent, suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return open_session(Path(file.name), prepack=False)  # a few runs are not worth a copy of the matrices
