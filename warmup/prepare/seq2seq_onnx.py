"""Writes a traced module as ONNX with its weights beside it, streamed: the weights never exist twice in memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
import torch
from onnx import TensorProto

OPSET = 17
ALIGNMENT = 4096  # so that a weight can be mapped into memory where it lies
SMALL_BYTES = 1024


def write_onnx(
    module: torch.nn.Module,
    arguments: Sequence[torch.Tensor],
    path: Path,
    *,
    inputs: dict[str, dict[int, str]],
    outputs: dict[str, dict[int, str]],
) -> None:
    """Trace `module` over `arguments` into `path` and its weights into `path` + ".data".

    `inputs` and `outputs` name the tensors in order, with their dynamic axes. torch.onnx.export would copy every
    weight into the protobuf first, which a Lambda of 3,008 MB cannot hold for a BART-large; here the trace
    has none, and they go from the module to the file one by one.
    """
    bare = path.with_suffix(".bare")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # of the tracer: the exporter's age, constants that are meant to be constant
        torch.onnx.export(
            module,
            tuple(arguments),
            str(bare),
            dynamo=False,
            export_params=False,
            do_constant_folding=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            opset_version=OPSET,
        )
    model = onnx.load(str(bare))
    bare.unlink()
    weights = dict(module.state_dict(keep_vars=True))
    with Path(f"{path}.data").open("wb") as file:
        _attach(model.graph, weights, file, Path(f"{path}.data").name, set(inputs))
    onnx.save(model, str(path))


def _attach(
    graph: Any, weights: dict[str, torch.Tensor], file: BinaryIO, name: str, inputs: set[str]
) -> None:
    """Turn the graph inputs that are weights into initializers; transpose ahead what the graph would transpose."""
    given = {value.name for value in graph.input} - inputs
    turned: dict[str, str] = {}
    kept = []
    for node in graph.node:
        is_turn = node.op_type == "Transpose" and node.input[0] in given
        if is_turn and list(node.attribute[0].ints) == [1, 0]:
            turned[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    rename = {output: f"{weight}.T" for output, weight in turned.items()}
    for node in graph.node:
        for position, source in enumerate(node.input):
            node.input[position] = rename.get(source, source)
    used = {source for node in graph.node for source in node.input}
    for weight in sorted(given & used):
        graph.initializer.append(_initializer(weight, weights[weight].detach(), file, name))
    for weight in sorted({weight for weight in turned.values() if f"{weight}.T" in used}):
        graph.initializer.append(_initializer(f"{weight}.T", weights[weight].detach().t(), file, name))
    real = [value for value in graph.input if value.name in inputs]
    del graph.input[:]
    graph.input.extend(real)


def _initializer(name: str, weight: torch.Tensor, file: BinaryIO, location: str) -> Any:
    array = np.ascontiguousarray(weight.to(torch.float32).numpy())
    if array.nbytes <= SMALL_BYTES:
        return onnx.numpy_helper.from_array(array, name)
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    tensor = TensorProto(name=name, dims=array.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", file.tell()), ("length", array.nbytes)):
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
    file.write(memoryview(array).cast("B"))
    return tensor
