"""External weights: dense first, embedding tables last, every value as it was."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.warmup.prepare.conftest import prepared
from warmup.prepare.onnx import weights


@pytest.fixture
def model():
    random = np.random.default_rng(0)
    values = {
        "table": random.standard_normal((500, 16)).astype(np.float32),
        "matrix": random.standard_normal((16, 100)).astype(np.float32),
        "unused": random.standard_normal((100, 100)).astype(np.float32),
        "bias": random.standard_normal(100).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "matrix"], ["y"]),
        helper.make_node("Add", ["y", "bias"], ["z"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        )
    )


def test_the_embedding_table_comes_last_and_everything_before_it_is_prefetched(model, tmp_path):
    weights.remove_unused(model)
    dense = weights.save(model, tmp_path / "m.onnx", numpy_helper.to_array)
    graph = weights.load_graph(tmp_path / "m.onnx").graph
    places = {
        tensor.name: external_data_helper.ExternalDataInfo(tensor)
        for tensor in graph.initializer
        if external_data_helper.uses_external_data(tensor)
    }
    assert set(places) == {"matrix", "table"}  # the bias is small enough for the graph itself
    assert places["matrix"].offset + places["matrix"].length == dense <= places["table"].offset
    assert places["table"].offset % 4096 == 0


def test_every_value_comes_back(model, tmp_path):
    wanted = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights.save(model, tmp_path / "m.onnx", numpy_helper.to_array)
    for tensor in onnx.load(str(tmp_path / "m.onnx")).graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), wanted[tensor.name])
    for tensor in weights.load_graph(tmp_path / "m.onnx").graph.initializer:
        np.testing.assert_array_equal(weights.array(tensor, tmp_path), wanted[tensor.name])


def test_a_table_that_is_also_multiplied_is_dense(model):
    model.graph.node.append(helper.make_node("MatMul", ["z", "table"], ["w"]))
    assert weights.embedding_tables(model) == set()


def test_a_prepared_graph_needs_nothing_of_the_machine_that_optimised_it(snapshot, tmp_path):
    entry = prepared(snapshot, tmp_path)
    model = weights.load_graph(tmp_path / entry.path / "model.onnx")
    assert {node.domain for node in weights.nodes(model.graph)} <= {"", "com.microsoft"}
    document = json.loads((tmp_path / entry.path / "serving.json").read_text())
    size = (tmp_path / entry.path / "model.onnx.data").stat().st_size
    assert 0 < document["prefetch"]["model.onnx.data"] < size
