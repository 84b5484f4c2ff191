"""ONNX graphs: weights as external data, the embedding tables last; who makes a tensor, who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, external_data_helper, numpy_helper

_INLINE_BYTES = 1024
"""Smaller tensors stay in the graph: they are shapes and scalars, which the session wants while it opens."""
_PART_BYTES = 1 << 24
_ALIGNMENT = 4096
"""A page: onnxruntime maps every tensor by itself."""


def load_graph(path: Path) -> ModelProto:
    """The model at `path` without its external weights (`array` reads one of them)."""
    return onnx.load(str(path), load_external_data=False)


def array(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """Value of an initializer as numpy array; external ones are mapped from `folder`, not read."""
    if not external_data_helper.uses_external_data(tensor):
        value: NDArray[Any] = numpy_helper.to_array(tensor)
        return value
    info = external_data_helper.ExternalDataInfo(tensor)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape = tuple(tensor.dims)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(folder / info.location, dtype, "r", offset=info.offset or 0, shape=shape)


def save(model: ModelProto, path: Path, read: Callable[[TensorProto], NDArray[Any]]) -> int:
    """Write the graph to `path` and its weights to `path` + ".data"; return the bytes before the embeddings.

    read: value of an initializer (see `array`); called once per tensor, so one is in memory at a time.
    Dense weights come first, so that they can be read ahead in one go; embedding tables, of which a
    request touches a few rows, come last and are left to page faults.
    """
    tables = embedding_tables(model)
    tensors = sorted(model.graph.initializer, key=lambda tensor: tensor.name in tables)
    data = path.with_name(f"{path.name}.data")
    dense = 0
    with data.open("wb") as file:
        for tensor in tensors:
            value = read(tensor)
            if value.nbytes < _INLINE_BYTES:
                _inline(tensor, value)
                continue
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            offset = file.tell()
            for rows in parts(value):
                # In C order from here on: a memmap of a transposed array would be written as it lies.
                np.ascontiguousarray(value[rows]).tofile(file)
            _refer(tensor, value, data.name, offset)
            if tensor.name not in tables:
                dense = file.tell()
    path.write_bytes(model.SerializeToString())
    return dense


def parts(value: NDArray[Any]) -> Iterator[slice]:
    """Slices of the first axis of `value`, of about 16 MB each: nobody has to copy a whole matrix."""
    rows = max(1, _PART_BYTES * len(value) // value.nbytes)
    return (slice(start, start + rows) for start in range(0, len(value), rows))


def embedding_tables(model: ModelProto) -> set[str]:
    """Initializers that nothing but `Gather` reads, row by row."""
    uses: dict[str, list[bool]] = {}
    for node in nodes(model.graph):
        for position, name in enumerate(node.input):
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            uses.setdefault(name, []).append(node.op_type == "Gather" and position == 0 and axis == 0)
    return {tensor.name for tensor in model.graph.initializer if all(uses.get(tensor.name, [False]))}


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of `graph` and of the graphs inside them (If, Loop)."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


def initializers(model: ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def remove_unused(model: ModelProto) -> None:
    """Drop initializers that no node and no output reads any more."""
    used = {name for node in nodes(model.graph) for name in node.input}
    used |= {output.name for output in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _inline(tensor: TensorProto, value: NDArray[Any]) -> None:
    name = tensor.name
    tensor.Clear()
    tensor.CopyFrom(numpy_helper.from_array(np.array(value), name))


def _refer(tensor: TensorProto, value: NDArray[Any], location: str, offset: int) -> None:
    name, data_type = tensor.name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    tensor.Clear()
    tensor.name, tensor.data_type = name, data_type
    tensor.dims.extend(value.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", str(offset)), ("length", str(value.nbytes))):
        tensor.external_data.add(key=key, value=text)


class Graph:
    """Who makes and who reads a tensor."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.tensors = initializers(model)
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, int] = {output.name: 1 for output in model.graph.output}
        for node in nodes(model.graph):
            for name in node.input:
                self.readers[name] = self.readers.get(name, 0) + 1

    def made_by(self, name: str, *kinds: str) -> NodeProto | None:
        """The node that makes `name`, if it is one of `kinds`."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type in kinds else None

    def product(self, name: str, width: int) -> bool:
        """Whether `name` is an activation times a matrix of `width` columns."""
        node = self.made_by(name, "MatMul")
        tensor = self.tensors.get(node.input[1]) if node else None
        return tensor is not None and len(tensor.dims) == 2 and tensor.dims[1] == width

    def bias(self, node: NodeProto) -> tuple[str, str] | None:
        """(activation, bias) of an Add with a bias."""
        for name, other in (node.input, reversed(node.input)):
            tensor = self.tensors.get(name)
            if tensor is not None and len(tensor.dims) == 1:
                return other, name
        return None
