"""transformers with one layer in memory at a time says what it says whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

from tests.families import others_slow
from tests.tiny_decoders import FAMILIES, random_model
from warmup.prepare.decoder.reference import Layered


@pytest.mark.parametrize("family", others_slow(FAMILIES, "gemma3", "llama3", "olmo2"))
def test_layer_by_layer_equals_the_whole_model(family, tmp_path):
    whole = random_model(family, 160)
    whole.save_pretrained(tmp_path)
    tokens = np.random.default_rng(0).integers(3, 160, 30).tolist()
    with torch.inference_mode():
        wanted = whole(torch.tensor([tokens])).logits[0].numpy()
    layered = Layered(tmp_path)
    got = layered.scores(layered.hidden(tokens))
    assert np.abs(got - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())


def test_no_layer_stays_in_memory(tmp_path):
    random_model("llama", 160).save_pretrained(tmp_path)
    layered = Layered(tmp_path)
    layered.hidden([3, 4, 5])
    parameters = [p for layer in layered._base.layers for p in layer.parameters()]
    assert parameters
    assert all(parameter.is_meta for parameter in parameters)


def test_half_precision_weights_are_compared_as_they_are_stored(tmp_path):
    random_model("qwen3", 160).to(torch.bfloat16).save_pretrained(tmp_path)
    stored = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    layered = Layered(tmp_path)
    with torch.inference_mode():
        wanted = stored(torch.tensor([[5, 6, 7]])).logits[0].numpy()
    assert np.abs(layered.scores(layered.hidden([5, 6, 7])) - wanted).max() <= 1e-4
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
