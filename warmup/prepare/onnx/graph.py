"""Reading an ONNX graph: who makes a tensor, who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import weights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class Graph:
    """Who makes and who reads a tensor."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.tensors = weights.initializers(model)
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, int] = {output.name: 1 for output in model.graph.output}
        for node in weights.nodes(model.graph):
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
