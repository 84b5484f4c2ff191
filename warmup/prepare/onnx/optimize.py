"""Optimising a graph offline, so that a cold start neither analyses nor copies it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime

from . import weights
from .shapes import fix_shapes


def optimize(source: Path, target: Path) -> int:
    """Write `source`, fused, to `target` with external weights; return the bytes before its embeddings.

    Level EXTENDED with the CPU provider: fusions that every CPU has kernels for. ALL would add layouts
    chosen for the machine at hand, and this graph is opened on another one. Weights are not prepacked here
    (that too is for one machine): the session packs them when it opens.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fused = Path(folder, target.name)
        options.optimized_model_filepath = str(fused)
        external = f"{target.name}.weights"
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", external)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", "1024"
        )
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        model = weights.load_graph(fused)
        fix_shapes(model)
        weights.remove_unused(model)
        return weights.save(model, target, lambda tensor: weights.array(tensor, fused.parent))
