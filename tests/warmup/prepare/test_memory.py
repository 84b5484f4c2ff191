"""What preparing holds in memory: never a second copy of the weights, however large they are."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from warmup.prepare.onnx import weights
from warmup.prepare.onnx.quantize import quantized

ROOT = Path(__file__).parents[3]
MB = 1 << 20
# In a process of its own: exports 128 MB of weights and prints by how many MB its memory grew meanwhile.
EXPORT = """
import sys
from pathlib import Path

import torch

from warmup.prepare.onnx.torch_export import export_graph


def resident_mb(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) // 1024


def language_model(vocabulary):
    # The projection is the embedding's table; the graph has it a second time, transposed.
    table, head = torch.nn.Embedding(vocabulary, 1024), torch.nn.Linear(1024, vocabulary, bias=False)
    head.weight = table.weight
    return torch.nn.Sequential(table, head).eval()


def export(module, path):
    inputs, axes = {"ids": torch.ones((1, 3), dtype=torch.int64)}, {"ids": {1: "length"}}
    export_graph(module, inputs, ["scores"], axes, path)


folder = Path(sys.argv[1])
export(language_model(64), folder / "small.onnx")  # whatever the exporter imports and keeps
module = language_model(32768)
Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
before = resident_mb("VmRSS")
export(module, folder / "large.onnx")
print(resident_mb("VmHWM") - before)
"""


def largest(function) -> int:
    """Bytes that Python and numpy held at most while `function` ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def matrix(tmp_path):
    """(65536, 256) floats, 64 MB, mapped from a file as preparing maps them."""
    values = np.random.default_rng(0).standard_normal((65536, 256), np.float32)
    values.tofile(tmp_path / "values")
    return np.memmap(tmp_path / "values", np.float32, "r", shape=values.shape)


@pytest.mark.slow
def test_exporting_copies_no_weights(tmp_path):
    command = [sys.executable, "-c", EXPORT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64
    assert (tmp_path / "large.onnx.data").stat().st_size >= 2 * 128 * MB


@pytest.mark.slow
def test_a_transposed_matrix_is_written_whole_and_in_parts(matrix, tmp_path):
    tensor = TensorProto(name="matrix", data_type=TensorProto.FLOAT, dims=(256, 65536))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "matrix"], ["y"])], "g", [], [], [tensor])
    model, path = helper.make_model(graph), tmp_path / "model.onnx"
    assert largest(lambda: weights.save(model, path, lambda tensor: matrix.T)) < 32 * MB
    (saved,) = onnx.load(path, load_external_data=False).graph.initializer
    np.testing.assert_array_equal(weights.array(saved, tmp_path), matrix.T)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_matrix_is_quantised_in_parts_as_it_would_be_at_once(matrix, axis):
    results = []
    assert largest(lambda: results.append(quantized(matrix, axis, 64))) < (16 + 48) * MB  # values, and parts
    ((values, scale),) = results
    peaks = np.abs(matrix).max(axis=axis, keepdims=True)
    np.testing.assert_array_equal(scale, (peaks / np.float32(64)).squeeze(axis))
    np.testing.assert_array_equal(values, np.rint(matrix / (peaks / np.float32(64))).astype(np.int8))
