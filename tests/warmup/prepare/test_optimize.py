"""Shapes that a graph computes become constants, and nothing else changes."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from warmup.prepare.onnx.optimize import fix_shapes


def graph(first_axis=0, second_axis=1):
    """(batch, sequence, 8) x matrix + bias -> (batch, sequence, 2, 4), its sizes computed from the input."""
    random = np.random.default_rng(0)
    values = {
        "matrix": random.standard_normal((8, 8)).astype(np.float32),
        "bias": random.standard_normal(8).astype(np.float32),
        "first": np.array(first_axis),
        "second": np.array(second_axis),
        "zero": np.array([0]),
        "heads": np.array([2]),
        "size": np.array([4]),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["product"]),
        helper.make_node("Add", ["bias", "product"], ["sum"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Gather", ["shape", "second"], ["sequence"]),
        helper.make_node("Unsqueeze", ["batch", "zero"], ["batch_1"]),
        helper.make_node("Unsqueeze", ["sequence", "zero"], ["sequence_1"]),
        helper.make_node("Concat", ["batch_1", "sequence_1", "heads", "size"], ["target"], axis=0),
        helper.make_node("Reshape", ["sum", "target"], ["y"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "s", 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("shape", [(1, 1, 8), (3, 5, 8)])
def test_a_reshape_to_heads_takes_its_sizes_from_its_input(shape):
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    model = graph()
    wanted = run(model, x)
    fix_shapes(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Add", "Reshape"]
    np.testing.assert_array_equal(run(model, x), wanted)


def test_sizes_in_another_order_stay_computed():
    model = graph(first_axis=1, second_axis=0)
    before = len(model.graph.node)
    fix_shapes(model)
    assert len(model.graph.node) == before
