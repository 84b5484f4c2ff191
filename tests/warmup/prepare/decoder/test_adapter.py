"""LoRA adapters: merged into the graph, compared with the model that runs them beside its matrices."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from hf_lambda.onnx_engine import load
from tests.families import others_slow
from tests.tiny_adapters import write_adapter
from tests.tiny_decoders import snapshot
from warmup.prepare import AdapterSnapshot, NotPrepared, PrepareRequest, Tolerance, prepare
from warmup.prepare.decoder.adapter import read_adapter
from warmup.prepare.decoder.reference import Layered
from warmup.prepare.decoder.tensors import Tensors

ROOT = Path(__file__).parents[4]
ATTENTION = ("q_proj", "v_proj", "o_proj")
VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "attention": (ATTENTION, {}),
    "every matrix": ((*ATTENTION, "k_proj", "gate_proj", "up_proj", "down_proj"), {}),
    "rank-stabilised": (ATTENTION, {"use_rslora": True}),
    "ranks and alphas of some": (
        (*ATTENTION, "up_proj"),
        {
            "ranks": {"layers.1.self_attn.q_proj": 2, "up_proj": 6},
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "up_proj": 6},
            "alpha_pattern": {"o_proj": 3},
        },
    ),
    "the head": ((*ATTENTION, "lm_head"), {}),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return snapshot("qwen2", tmp_path_factory.mktemp("base"), tie_word_embeddings=False)


@pytest.fixture(scope="module", params=others_slow(VARIANTS, "every matrix", "ranks and alphas of some"))
def adapter(request, base, tmp_path_factory):
    modules, options = VARIANTS[request.param]
    return write_adapter(tmp_path_factory.mktemp("adapter") / "it", base, modules, **options)


def _prepare(base, adapter, into, precision="fp32"):
    merged = AdapterSnapshot("org/adapter", None, "d" * 40, adapter)
    request = PrepareRequest(
        "text-generation", "org/base", "c" * 40, base, precision, tolerance=Tolerance(), adapter=merged
    )
    return prepare(request, into=into, isolated=False)


def test_the_merged_graph_agrees_with_the_adapter_beside_the_model(base, adapter, tmp_path):
    entry = _prepare(base, adapter, tmp_path)
    assert (entry.precision, entry.requested) == ("fp32", "fp32+org/adapter@main")
    assert entry.agreement["fp32"]["score_difference"] <= 1e-4
    assert "org--adapter-dddddddddddd" in Path(entry.path).name
    plain = prepare(
        PrepareRequest("text-generation", "org/base", "c" * 40, base, "fp32"), into=tmp_path, isolated=False
    )
    answers = [
        load("text-generation", Path(each.path))(["The train"], max_new_tokens=12, do_sample=False)
        for each in (entry, plain)
    ]
    assert answers[0] != answers[1]


def test_the_gate_notices_an_adapter_that_is_merged_wrongly(base, adapter, tmp_path, monkeypatch):
    merged = Tensors.__getitem__

    def twice(self, name):
        known = self._adapter.updates.get(name.removesuffix(".weight"))
        return merged(self, name) if known is None else 2 * merged(self, name)

    monkeypatch.setattr(Tensors, "__getitem__", twice)
    with pytest.raises(NotPrepared, match="fp32: scores differ"):
        _prepare(base, adapter, tmp_path)


def test_what_was_trained_as_a_whole_takes_the_place_of_the_bases(base, tmp_path):
    folder = write_adapter(tmp_path / "a", base, ATTENTION)
    path = folder / "adapter_model.safetensors"
    head = np.random.default_rng(1).normal(0, 0.2, Tensors(base)["lm_head.weight"].shape).astype("f4")
    tensors = {**safetensors.numpy.load_file(path), "base_model.model.lm_head.weight": head}
    safetensors.numpy.save_file(tensors, path, {"format": "pt"})
    assert np.array_equal(Tensors(base, read_adapter(folder))["lm_head.weight"], head)
    assert _prepare(base, folder, tmp_path / "into").precision == "fp32"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"peft_type": "IA3"}, "of the kind 'IA3'; LORA is merged"),
        ({"use_dora": True}, "use_dora=True, which is not merged here"),
        ({"bias": "all"}, "bias='all', which is not merged here"),
        ({"lora_bias": True}, "lora_bias=True"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out=True"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"rank_pattern": {"(": 4}}, r"pattern '\(' is not matched: missing \)"),
        ({"alpha_pattern": {"(": 4}}, r"pattern '\(' is not matched: missing \)"),
        ({"rank_pattern": [1]}, r"rank_pattern is \[1\]; expected an object with numbers above 0"),
        ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern is .*; expected an object with numbers above 0"),
        ({"alpha_pattern": {"q_proj": math.nan}}, "alpha_pattern is .*nan.*; expected an object"),
        ({"lora_alpha": math.inf}, "lora_alpha is inf; expected a number above 0"),
        ({"something_new": "yes"}, "something_new='yes'"),
        ({"init_lora_weights": "pissa"}, "began as 'pissa', which changes the base model"),
        ({"r": 8}, "says rank 8 of model.layers.0.self_attn.[a-z]+_proj, its tensors have 4"),
        ({"lora_alpha": None}, "lora_alpha is None"),
    ],
)
def test_what_is_more_than_lora_is_refused_by_name(base, tmp_path, config, reason):
    with pytest.raises(NotPrepared, match=reason):
        read_adapter(write_adapter(tmp_path / "a", base, ATTENTION, **config))


def test_a_pattern_that_takes_too_long_is_refused(base, tmp_path, monkeypatch):
    monkeypatch.setattr("warmup.prepare.decoder.adapter._PATTERN_SECONDS", 0.01)
    backtracks = "((.|..)+)+[!?]"
    with pytest.raises(NotPrepared, match="is not matched: regex timed out"):
        read_adapter(write_adapter(tmp_path / "a", base, ATTENTION, rank_pattern={backtracks: 4}))


def test_an_adapter_without_tensors_is_refused(base, tmp_path):
    folder = write_adapter(tmp_path / "a", base, ATTENTION)
    safetensors.numpy.save_file({}, folder / "adapter_model.safetensors")
    with pytest.raises(NotPrepared, match=r"adapter_model\.safetensors has no tensors"):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda half: half[..., None], "has not both halves of .*q_proj, as matrices"),
        (lambda half: half.sum(), "has not both halves of .*q_proj, as matrices"),
        (lambda half: half[:-1], r"halves of .*q_proj are \(3, 64\) and \(64, 4\): of two ranks"),
    ],
)
def test_a_half_that_does_not_fit_the_other_is_refused(base, tmp_path, wrong, reason):
    folder = write_adapter(tmp_path / "a", base, ATTENTION)
    tensors = safetensors.numpy.load_file(folder / "adapter_model.safetensors")
    name = next(each for each in tensors if each.endswith("q_proj.lora_A.weight"))
    tensors[name] = np.ascontiguousarray(wrong(tensors[name]), "f4").reshape(wrong(tensors[name]).shape)
    safetensors.numpy.save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(NotPrepared, match=reason):
        read_adapter(folder)


def test_an_adapter_of_another_model_or_a_damaged_one_is_refused(base, tmp_path):
    other = snapshot("qwen2", tmp_path / "other", hidden_size=32, head_dim=8, num_attention_heads=4)
    with pytest.raises(
        NotPrepared, match=r"changes 'layers\.0\.self_attn\.\w+\.weight' as \(32, 32\), .* \(64, 64\)"
    ):
        _prepare(base, write_adapter(tmp_path / "a", other, ATTENTION), tmp_path / "into")
    deeper = snapshot("qwen2", tmp_path / "deeper", num_hidden_layers=5)
    with pytest.raises(NotPrepared, match=r"'layers\.4\.self_attn\.\w+\.weight' .* it is not there"):
        _prepare(base, write_adapter(tmp_path / "b", deeper, ATTENTION), tmp_path / "into")
    folder = write_adapter(tmp_path / "c", base, ATTENTION)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(NotPrepared, match="no readable adapter_config"):
        read_adapter(folder)


def test_embeddings_that_are_the_head_too_are_not_changed(tmp_path):
    tied = snapshot("qwen2", tmp_path / "tied", tie_word_embeddings=True)
    with pytest.raises(NotPrepared, match="embeddings that are the head too"):
        Layered(tied, read_adapter(write_adapter(tmp_path / "a", tied, (*ATTENTION, "lm_head"))))


PEFT = """
import sys, warnings
import numpy as np, torch, transformers
warnings.simplefilter("ignore")
import peft

base, adapter, out = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
model = peft.PeftModel.from_pretrained(model, adapter).eval()
ids = torch.arange(3, 40)[None]
with torch.inference_mode():
    beside = model(ids).logits[0].numpy()
    merged = model.merge_and_unload()
    np.savez(out, beside=beside, **{n: p.detach().numpy() for n, p in merged.named_parameters()})
"""


@pytest.fixture(scope="module")
def peft(tmp_path_factory):
    """A folder with peft: in the tests' own environment accelerate would change what transformers does."""
    folder = tmp_path_factory.mktemp("peft")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(folder),
    ]
    subprocess.run([*command, "-r", str(ROOT / "requirements" / "adapters.txt")], check=True)
    return folder


@pytest.mark.slow
def test_matrices_and_answers_are_those_of_peft(base, adapter, peft, tmp_path):
    out = tmp_path / "peft.npz"
    paths = os.pathsep.join([str(peft), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", PEFT, str(base), str(adapter), str(out)],
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    read = read_adapter(adapter)
    merged, layered = Tensors(base, read), Layered(base, read)
    with np.load(out) as theirs:
        for name in read.updates:
            whole = f"{name}.weight" if name == "lm_head" else f"model.{name}.weight"
            np.testing.assert_allclose(merged[f"{name}.weight"], theirs[whole], atol=1e-6)
        ours = layered.scores(layered.hidden(list(range(3, 40))))
        np.testing.assert_allclose(ours, theirs["beside"], atol=1e-4 * np.abs(theirs["beside"]).max())


def test_a_request_with_an_adapter_reaches_the_steps_as_it_is(base, tmp_path):
    adapter = AdapterSnapshot("org/adapter", "v1", "d" * 40, tmp_path)
    request = PrepareRequest("text-generation", "org/base", "c" * 40, base, adapter=adapter)
    assert PrepareRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
