"""The gate with its own bounds on a trained model: what is right passes, one wrong matrix is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from tests.tiny_decoders import snapshot
from warmup.prepare import PrepareRequest, Tolerance, prepare
from warmup.prepare.decoder.blocks import rounded
from warmup.prepare.decoder.reference import gate_rows

pytestmark = pytest.mark.slow  # it trains a model

STEPS = 120
OF_ONE_MATRIX = (96, 64)
"""Shape of the layers' `gate_proj` and `up_proj`; the third one is the second layer's first."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that knows the gate's texts: it expects most of their tokens, and is sure of them."""
    folder = snapshot(
        "qwen2", tmp_path_factory.mktemp("trained"), tie_word_embeddings=True, num_hidden_layers=2
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = gate_rows(PrepareRequest("text-generation", "org/m", "c" * 40, folder), tokenizer)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.from_pretrained(folder), dtype=torch.float32
    )
    ids = torch.tensor([row for row in rows if len(row) == len(rows[0])])
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
    for _ in range(STEPS):
        loss = model(ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    return folder


def _prepare(source, into, precision="auto"):
    request = PrepareRequest(
        "text-generation", "org/tiny", "c" * 40, source, precision, tolerance=Tolerance()
    )
    return prepare(request, into=into, isolated=False)


@pytest.mark.parametrize("precision", ["int8", "int4", "fp32"])
def test_what_is_right_passes_the_bounds_that_everybody_gets(trained, tmp_path, precision):
    entry = _prepare(trained, tmp_path, precision)
    assert (entry.precision, entry.reason) == (precision, None)
    assert entry.agreement[precision]["perplexity"] < 1.5  # noise of this vocabulary: 500


WRECKS = {
    "rows in another order": lambda values, scales: (values[::-1], scales[::-1]),
    "scales of the next rows": lambda values, scales: (values, np.roll(scales, 1, axis=0)),
    "columns in another order": lambda values, scales: (values[:, ::-1, ::-1], scales[:, ::-1]),
    "twice as large": lambda values, scales: (values, 2 * scales),
    "another sign": lambda values, scales: (values, -scales),
    "nothing": lambda values, scales: (values, 0 * scales),
}


@pytest.mark.parametrize(
    ("wreck", "precision"), [*((wreck, "int8") for wreck in WRECKS), ("scales of the next rows", "int4")]
)
def test_one_wrecked_matrix_is_refused(trained, tmp_path, monkeypatch, wreck, precision):
    """The gate, not the writer, has to notice: the next better precision is served, with the reason."""
    met: list[int] = []

    def wrecked(rows, bits, block):
        values, scales = rounded(rows, bits, block)
        met.extend([bits] * (rows.shape == OF_ONE_MATRIX))
        is_third = met.count(bits) % 4 == 3  # of each candidate's four
        is_it = rows.shape == OF_ONE_MATRIX and is_third and f"int{bits}" == precision
        return WRECKS[wreck](values, scales) if is_it else (values, scales)

    monkeypatch.setattr("warmup.prepare.decoder.graph.rounded", wrecked)
    entry = _prepare(trained, tmp_path, precision)
    assert entry.precision == {"int8": "fp32", "int4": "int8"}[precision]
    assert str(entry.reason).startswith(f"{precision}: ")
