"""int8 weights: within what a CPU without VNNI adds up exactly, close to fp32, outliers apart."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hf_lambda.onnx_engine.session import open_session
from warmup.prepare.onnx import weights
from warmup.prepare.onnx.quantize import qmax, quantize, quantized

RANDOM = np.random.default_rng(0)


def saturating_products(activations, matrix):
    """u8 x i8 as `vpmaddubsw` does it: pairs of products are added in 16 bits, saturating."""
    left, right = activations.astype(np.int32), matrix.astype(np.int32)
    pairs = left[:, 0::2, None] * right[None, 0::2] + left[:, 1::2, None] * right[None, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_x86_matrices_cannot_saturate_a_cpu_without_vnni(seed):
    random = np.random.default_rng(seed)
    matrix, _ = quantized(random.standard_normal((64, 8)), 0, qmax("x86_64"))
    activations = random.choice(np.array([0, 128, 255], np.uint8), (4, 64))
    exact = activations.astype(np.int64) @ matrix.astype(np.int64)
    np.testing.assert_array_equal(saturating_products(activations, matrix), exact)


def test_eight_bits_would_saturate_which_is_why_x86_has_seven():
    matrix = np.full((64, 1), 127, np.int8)
    activations = np.full((1, 64), 255, np.uint8)
    assert saturating_products(activations, matrix) != activations.astype(int) @ matrix.astype(int)
    assert qmax("x86_64") == 64
    assert qmax("aarch64") == 127


@pytest.mark.parametrize("axis", [0, 1])
def test_every_column_or_row_uses_its_whole_range(axis):
    matrix = RANDOM.standard_normal((40, 30)) * np.logspace(-3, 3, 30)
    matrix[:, 4] = 0.0
    values, scale = quantized(matrix, axis, 127)
    wide = scale[None, :] if axis == 0 else scale[:, None]
    assert np.abs(values * wide - matrix).max(axis=axis) == pytest.approx(0, abs=float(wide.max()) / 2 + 1e-9)
    peaks = np.abs(values).max(axis=axis)
    assert set(peaks) <= {0, 127}


@pytest.fixture
def graph(tmp_path):
    """Embedding -> two products of one activation, which has one channel that is far larger."""
    table = RANDOM.standard_normal((300, 128)).astype(np.float32)
    gain = np.ones(128, np.float32)
    gain[5] = 60
    left = RANDOM.standard_normal((128, 160)).astype(np.float32)
    left[5] *= 0.05
    right = RANDOM.standard_normal((128, 160)).astype(np.float32)
    products = [
        ("Mul", "rows", "gain", "x"),
        ("MatMul", "x", "left", "a"),
        ("MatMul", "x", "right", "b"),
    ]
    path = tmp_path / "fp32.onnx"
    write(path, products, {"table": table, "gain": gain, "left": left, "right": right})
    return path


def write(path, operations, values):
    """The graph: rows of `table`, then (operation, input, initializer, output) each; `a`, `b` are outputs."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    nodes += [helper.make_node(kind, [left, right], [output]) for kind, left, right, output in operations]
    outputs = [output for *_, output in operations if output in ("a", "b")]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    weights.save(model, path, numpy_helper.to_array)


def run(path, ids):
    return open_session(path).run(None, {"ids": ids})


def error(got, wanted):
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def test_a_quantised_graph_is_close_to_its_source_and_a_quarter_as_large(graph, tmp_path):
    ids = RANDOM.integers(0, 300, (3, 7))
    quantize(graph, tmp_path / "int8.onnx", machine="x86_64")
    for got, wanted in zip(run(tmp_path / "int8.onnx", ids), run(graph, ids), strict=True):
        assert error(got, wanted) < 0.3
    assert (tmp_path / "int8.onnx.data").stat().st_size < 0.3 * (tmp_path / "fp32.onnx.data").stat().st_size


def test_one_activation_is_quantised_once(graph, tmp_path):
    quantize(graph, tmp_path / "int8.onnx", machine="x86_64")
    nodes = onnx.load(str(tmp_path / "int8.onnx"), load_external_data=False).graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.count("DynamicQuantizeLinear") == 1
    assert kinds.count("MatMulIntegerToFloat") == 2


def test_an_outlier_channel_stays_in_fp32_and_gives_the_others_their_bits_back(graph, tmp_path):
    ids = RANDOM.integers(0, 300, (3, 7))
    quantize(graph, tmp_path / "plain.onnx", machine="x86_64")
    quantize(
        graph, tmp_path / "apart.onnx", machine="x86_64", feeds=[{"ids": RANDOM.integers(0, 300, (1, 50))}]
    )
    wanted = run(graph, ids)[0]
    plain, apart = run(tmp_path / "plain.onnx", ids)[0], run(tmp_path / "apart.onnx", ids)[0]
    assert error(apart, wanted) < 0.25 * error(plain, wanted)


def test_the_rows_of_an_outlier_channel_do_not_widen_the_scales_of_the_others(tmp_path):
    table = RANDOM.standard_normal((300, 128)).astype(np.float32)
    table[:, 5] = 5  # the largest of its row, which the quantised table has exactly
    gain = np.where(np.arange(128) == 5, 60, 1).astype(np.float32)
    left = RANDOM.standard_normal((128, 160)).astype(np.float32)
    left[5] *= 30
    products = [("Mul", "rows", "gain", "x"), ("MatMul", "x", "left", "a")]
    ids, wanted_from = RANDOM.integers(0, 300, (3, 7)), RANDOM.integers(0, 300, (1, 50))
    for name, matrix in (("wide", left), ("narrow", np.where(np.arange(128)[:, None] == 5, 0, left))):
        source = tmp_path / f"{name}.onnx"
        write(source, products, {"table": table, "gain": gain, "left": matrix.astype(np.float32)})
        quantize(source, tmp_path / f"{name}8.onnx", machine="x86_64", feeds=[{"ids": wanted_from}])
    wide, narrow = (
        run(tmp_path / f"{name}8.onnx", ids)[0] - run(tmp_path / f"{name}.onnx", ids)[0]
        for name in ("wide", "narrow")
    )
    assert np.abs(wide).max() < 1.5 * np.abs(narrow).max()


def test_activations_that_share_a_matrix_each_keep_their_outlier_channels_apart(tmp_path):
    """As ALBERT's layers do: one matrix, another activation in each, and another channel that is large."""
    table = RANDOM.standard_normal((300, 128)).astype(np.float32)
    gains = {name: np.ones(128, np.float32) for name in ("first", "second")}
    gains["first"][5], gains["second"][9] = 60, 60
    left = RANDOM.standard_normal((128, 160)).astype(np.float32)
    left[[5, 9]] *= 0.05
    products = [
        ("Mul", "rows", "first", "x"),
        ("Mul", "rows", "second", "y"),
        ("MatMul", "x", "left", "a"),
        ("MatMul", "y", "left", "b"),
    ]
    write(tmp_path / "fp32.onnx", products, {"table": table, "left": left, **gains})
    feeds = [{"ids": RANDOM.integers(0, 300, (1, 50))}]
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", machine="x86_64", feeds=feeds)
    ids = RANDOM.integers(0, 300, (3, 7))
    for got, wanted in zip(run(tmp_path / "int8.onnx", ids), run(tmp_path / "fp32.onnx", ids), strict=True):
        assert error(got, wanted) < 0.02


def test_the_last_matrices_can_be_kept(graph, tmp_path):
    ids = RANDOM.integers(0, 300, (3, 7))
    quantize(graph, tmp_path / "kept.onnx", machine="x86_64", fp32_fraction=0.5)
    nodes = onnx.load(str(tmp_path / "kept.onnx"), load_external_data=False).graph.node
    assert [node.op_type for node in nodes].count("MatMul") == 1
    assert error(run(tmp_path / "kept.onnx", ids)[1], run(graph, ids)[1]) < 0.02


def test_matrices_of_arm_use_all_eight_bits(graph, tmp_path):
    quantize(graph, tmp_path / "arm.onnx", machine="aarch64")
    model = onnx.load(str(tmp_path / "arm.onnx"))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert np.abs(values["left_i8"].astype(int)).max() == 127
