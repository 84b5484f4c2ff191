"""From a torch module to an ONNX graph with external weights, never holding two copies of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto
from torch.onnx._internal.torchscript_exporter import utils as exporter

from . import weights

OPSET = 17
"""The newest that torch's TorchScript exporter and onnxruntime's fusions both know in full."""

_SMALL = 1024
"""Elements of a parameter whose value may tell the exporter a shape."""


def export_graph(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    path: Path,
) -> None:
    """Trace `module` with `inputs` (by name, in the order of its forward) and write `path` and its weights.

    The graph is traced without its parameters, which are then written one by one from the module: the
    exporter's own way keeps them twice, and a protobuf cannot be larger than 2 GB.
    """
    with _quiet(), _without_weights(), torch.no_grad():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            dynamo=False,  # graphs of the newer exporter cannot be quantised (shape inference fails)
            export_params=False,
            do_constant_folding=False,  # folding would rename the weights; `_fold_transposes` does its part
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in dynamic_axes.items()},
        )
    model = weights.load_graph(path)
    tensors = dict(module.state_dict(keep_vars=True))
    tensors |= dict(module.named_buffers())  # those that are not saved count too
    _attach(model, tensors, set(inputs))
    transposed = _fold_transposes(model)

    def read(tensor: TensorProto) -> NDArray[Any]:
        name = transposed.get(tensor.name, tensor.name)
        if name not in tensors:
            return weights.array(tensor, path.parent)
        value: NDArray[Any] = tensors[name].detach().numpy()
        return value if name == tensor.name else value.T

    weights.save(model, path, read)


def _attach(model: ModelProto, tensors: Mapping[str, torch.Tensor], inputs: set[str]) -> None:
    """Turn the graph inputs that are parameters into initializers without a value."""
    parameters = [entry for entry in model.graph.input if entry.name not in inputs]
    for entry in parameters:
        model.graph.input.remove(entry)
        value = tensors[entry.name]
        tensor = model.graph.initializer.add(name=entry.name)
        tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(value.detach().numpy().dtype)
        tensor.dims.extend(value.shape)


def _fold_transposes(model: ModelProto) -> dict[str, str]:
    """Replace `Transpose(weight)` by a weight written transposed; return new name -> parameter."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    source = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    folded: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for node in list(model.graph.node):
        if node.op_type != "Transpose":
            continue
        name = node.input[0]
        while name in source:
            name = source[name]
        if name not in matrices or list(node.attribute[0].ints) != [1, 0]:
            continue
        model.graph.node.remove(node)
        renamed[node.output[0]] = f"{name}.transposed"
        if f"{name}.transposed" not in folded:
            folded[f"{name}.transposed"] = name
            original = weights.initializers(model)[name]
            tensor = model.graph.initializer.add(name=f"{name}.transposed", data_type=original.data_type)
            tensor.dims.extend(reversed(original.dims))
    for node in weights.nodes(model.graph):
        for position, name in enumerate(node.input):
            if name in renamed:
                node.input[position] = renamed[name]
    weights.remove_unused(model)
    return folded


@contextmanager
def _without_weights() -> Iterator[None]:
    """Keeps the weights' values from the exporter, which copies them for every node whose shape it infers.

    Three copies at once, and for 610 million parameters 43 of the 45 seconds of its work. Their shapes and
    types, which it knows from the trace, are all that it needs.
    """
    named: Any = exporter._get_named_param_dict

    def small(graph: GraphProto, parameters: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        every = named(graph, parameters)
        return {name: value for name, value in every.items() if value.numel() <= _SMALL}

    exporter._get_named_param_dict = small
    try:
        yield
    finally:
        exporter._get_named_param_dict = named


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of being the older one and of values that become constants; the gate checks both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*|transformers\..*")
        yield
