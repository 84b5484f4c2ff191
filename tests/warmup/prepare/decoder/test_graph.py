"""The written graph computes what transformers computes, for every family."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
import torch
import transformers

from hf_lambda.onnx_engine.decoder.model import GRAPH, Model
from tests.tiny_decoders import FAMILIES, random_model, write, write_decoder
from warmup.prepare import NotPrepared
from warmup.prepare.decoder.architecture import architecture_of
from warmup.prepare.decoder.families import FAMILIES as KNOWN
from warmup.prepare.decoder.tensors import Tensors, open_model

VOCABULARY = 160


def _logits(model, tokens: list[int]):
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].numpy()


def _tokens(count: int, seed: int = 0):
    return np.random.default_rng(seed).integers(3, VOCABULARY, count).tolist()


def _difference(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_scores_as_transformers_does_in_one_run_in_chunks_and_token_by_token(
    family, tmp_path, monkeypatch
):
    theirs, tokens = write(family, tmp_path, VOCABULARY), _tokens(40)
    wanted = _logits(theirs, tokens)
    model = Model(tmp_path, 64)
    assert _difference(model.outputs(0, tokens), wanted) <= 1e-4
    monkeypatch.setattr("hf_lambda.onnx_engine.decoder.model.CHUNK", 7)
    assert _difference(Model(tmp_path, 64).outputs(0, tokens), wanted) <= 1e-4
    model.read(0, tokens[:3])
    for place in range(3, len(tokens)):
        assert _difference(model.step([tokens[place]])[0], wanted[place]) <= 1e-4


def test_rows_of_different_lengths_grow_side_by_side_as_each_does_alone(tmp_path):
    theirs = write("gemma3", tmp_path, VOCABULARY)
    texts = [_tokens(30, 1), _tokens(4, 2), _tokens(17, 3)]
    model = Model(tmp_path, 64)
    for row, text in enumerate(texts):
        model.read(row, text[:-2])
    model.step([text[-2] for text in texts])
    scores = model.step([text[-1] for text in texts])
    for row, text in enumerate(texts):
        assert _difference(scores[row], _logits(theirs, text)[-1]) <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_in_several_files_are_read_as_they_are(dtype, tmp_path):
    random_model("qwen2", VOCABULARY).to(dtype).save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    write_decoder(tmp_path, tmp_path, "fp32")
    tokens = _tokens(20)
    got = Model(tmp_path, 32).outputs(0, tokens)
    assert _difference(got, _logits(theirs, tokens)) <= 1e-4


@pytest.mark.parametrize(
    ("precision", "block", "most"), [("int8", 32, 0.025), ("int8", 128, 0.03), ("int4", 32, 0.25)]
)
@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3"])
def test_rounded_weights_stay_near(family, precision, block, most, tmp_path):
    # Weights of this spread keep differences as they are, as trained ones do; larger ones make chaos of them.
    theirs = random_model(family, VOCABULARY, hidden_size=128)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.dim() > 1 and "layers" in name:
                parameter.mul_(0.2)
    theirs.save_pretrained(tmp_path)
    write_decoder(tmp_path, tmp_path, precision, block=block)
    tokens = _tokens(40)
    wanted = _logits(theirs, tokens)
    got = Model(tmp_path, 64).outputs(0, tokens)
    distance = np.abs(got - wanted).mean() / wanted.std()
    assert 0 < distance <= most


@pytest.mark.parametrize("is_tied", [False, True])
def test_blocks_are_as_wide_as_rows_allow_and_a_table_that_only_embeds_keeps_narrow_ones(is_tied, tmp_path):
    random_model("llama", VOCABULARY, hidden_size=128, tie_word_embeddings=is_tied).save_pretrained(tmp_path)
    written = write_decoder(tmp_path, tmp_path, "int8", block=128)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False).graph
    blocks: dict[str, set[tuple[int, int]]] = {}
    for node in graph.node:
        numbers = {each.name: each.i for each in node.attribute}
        if "block_size" in numbers:
            size = (numbers.get("K", 128), numbers["block_size"])
            blocks.setdefault(node.op_type, set()).add(size)
    assert blocks == {
        "MatMulNBits": {(128, 128), (64, 64), (96, 32)},
        "GatherBlockQuantized": {(128, 128 if is_tied else 32)},
    }
    assert written.block == 128


def test_tied_embeddings_are_in_the_file_once(tmp_path):
    sizes = {}
    for is_tied in (False, True):
        folder = tmp_path / str(is_tied)
        write("llama3", folder, VOCABULARY, precision="int8", tie_word_embeddings=is_tied)
        sizes[is_tied] = (folder / f"{GRAPH}.data").stat().st_size
    assert sizes[False] - sizes[True] >= VOCABULARY * 64


def test_nothing_stands_between_rounded_weights_and_the_node_that_packs_them(tmp_path):
    write("qwen3", tmp_path, VOCABULARY, precision="int8")
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulNBits"]
    assert len(products) == 4 * 7 + 1
    assert all({node.input[1], node.input[2]} <= stored for node in products)


def test_the_table_of_embeddings_comes_after_what_every_token_reads(tmp_path):
    model = random_model("llama", VOCABULARY)
    model.save_pretrained(tmp_path)
    write_decoder(tmp_path, tmp_path, "int8")
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False).graph
    offsets = {
        tensor.name: int(next(entry.value for entry in tensor.external_data if entry.key == "offset"))
        for tensor in graph.initializer
        if tensor.external_data
    }
    assert offsets["table"] > max(
        offset for name, offset in offsets.items() if not name.startswith(("table", "cos", "sin"))
    )


def test_an_unknown_family_is_refused_with_those_that_are_known():
    config = transformers.AutoConfig.for_model("gpt2")
    with pytest.raises(
        NotPrepared, match="gpt2 models are not prepared for text-generation; these are: gemma, "
    ):
        architecture_of(config)


@pytest.mark.parametrize(
    ("family", "changed", "reason"),
    [
        ("llama", {"hidden_act": "relu"}, "llama with the activation 'relu' is not prepared"),
        (
            "gemma3",
            {"use_bidirectional_attention": True},
            "gemma3_text with bidirectional attention is not prepared",
        ),
        ("mistral", {"head_dim": 24}, "heads of 24 numbers are not rotated here; those of a multiple of 16"),
        ("phi4", {"partial_rotary_factor": 0.25}, "4 angles of a head .*; those of a multiple of 8"),
        (
            "qwen2",
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            r"quantised \(gptq\); the graph",
        ),
        ("llama", {"sliding_window": 4}, "windows of 4 tokens, which llama models do not attend by"),
        (
            "qwen2",
            {"vocab_size": 170},
            r"'embed_tokens.weight' has the shape \(160, 64\), .* it is \(170, 64\)",
        ),
    ],
)
def test_a_variant_that_the_graph_has_not_is_refused(family, changed, reason, tmp_path):
    random_model(family, VOCABULARY).save_pretrained(tmp_path)
    _change_config(tmp_path, changed)
    with pytest.raises(NotPrepared, match=reason):
        write_decoder(tmp_path, tmp_path, "fp32")


def _change_config(folder: Path, changed: dict[str, object]) -> None:
    path = folder / "config.json"
    document = {**json.loads(path.read_text()), **changed}
    if "partial_rotary_factor" in changed:
        document.pop("rope_parameters")
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("family", KNOWN)
def test_a_family_reads_of_the_config_what_transformers_own_code_reads(family):
    name = family.removesuffix("_text")
    code = inspect.getsource(importlib.import_module(f"transformers.models.{name}.modeling_{name}"))
    code = code.partition("class Gemma3MultiModalProjector")[0]
    every = {key for known in KNOWN.values() for key in known.reads}
    assert KNOWN[family].reads == {key for key in every if re.search(rf'config(\.|, "){key}\b', code)}


_OF_ANOTHER_MODEL = {
    "query_pre_attn_scalar": 3,
    "attn_logit_softcapping": 1.0,
    "final_logit_softcapping": 1.0,
    "no_rope_layers": [0, 1, 0, 1],
    "hidden_activation": "gelu_pytorch_tanh",
    "use_bidirectional_attention": True,
    "sliding_window": 4096,
}


@pytest.mark.parametrize("family", ["llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "gemma", "gemma2"])
def test_what_a_config_holds_and_its_family_does_not_read_changes_nothing(family, tmp_path):
    theirs = random_model(family, VOCABULARY)
    theirs.save_pretrained(tmp_path)
    reads = KNOWN[theirs.config.model_type].reads
    _change_config(tmp_path, {key: value for key, value in _OF_ANOTHER_MODEL.items() if key not in reads})
    write_decoder(tmp_path, tmp_path, "fp32")
    tokens = _tokens(30)
    assert _difference(Model(tmp_path, 64).outputs(0, tokens), _logits(theirs, tokens)) <= 1e-4


@pytest.mark.parametrize("activation", ["gelu", "gelu_pytorch_tanh"])
def test_both_forms_of_gelu_are_computed(activation, tmp_path):
    theirs = write("llama", tmp_path, VOCABULARY, hidden_act=activation)
    tokens = _tokens(20)
    assert _difference(Model(tmp_path, 32).outputs(0, tokens), _logits(theirs, tokens)) <= 1e-4


def _own_head(weights: dict[str, np.ndarray]) -> None:
    table = weights["model.embed_tokens.weight"]
    weights["lm_head.weight"] = np.random.default_rng(1).normal(0, 0.2, table.shape).astype("f4")


def _head_alone(weights: dict[str, np.ndarray]) -> None:
    weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight")


def _head_twice(weights: dict[str, np.ndarray]) -> None:
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].copy()


def _tensors_of_other_layers(weights: dict[str, np.ndarray]) -> None:
    at = "model.layers.0.self_attn."
    weights[f"{at}q_norm.weight"] = np.full(16, 3, "f4")
    weights[f"{at}o_proj.bias"] = np.ones(64, "f4")
    weights[f"{at}rotary_emb.inv_freq"] = np.ones(8, "f4")
    weights["model.layers.9.mlp.up_proj.weight"] = np.ones((3, 3), "f4")


@pytest.mark.parametrize(
    ("change", "is_tied"),
    [(_own_head, False), (_head_alone, True), (_head_twice, True), (_tensors_of_other_layers, True)],
)
def test_what_a_checkpoint_holds_is_read_as_transformers_reads_it(change, is_tied, tmp_path):
    """Of a config that ties embedding and head."""
    random_model("qwen2", VOCABULARY, tie_word_embeddings=True).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    change(weights)
    safetensors.numpy.save_file(weights, path, {"format": "pt"})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    write_decoder(tmp_path, tmp_path, "fp32")
    tokens = _tokens(20)
    assert _difference(Model(tmp_path, 32).outputs(0, tokens), _logits(theirs, tokens)) <= 1e-4
    assert open_model(tmp_path)[0].is_tied == is_tied


def test_widths_that_blocks_do_not_divide_are_refused_in_8_bits_and_written_in_fp32(tmp_path):
    model = random_model("llama", VOCABULARY, hidden_size=48, head_dim=16)
    model.save_pretrained(tmp_path)
    with pytest.raises(NotPrepared, match="int8 needs widths that are multiples of 32, the model has"):
        write_decoder(tmp_path, tmp_path, "int8")
    write_decoder(tmp_path, tmp_path, "fp32")
    tokens = _tokens(9)
    assert _difference(Model(tmp_path, 16).outputs(0, tokens), _logits(model, tokens)) <= 1e-4


def test_a_snapshot_without_safetensors_or_with_other_types_is_refused(tmp_path):
    with pytest.raises(NotPrepared, match="has no safetensors files"):
        Tensors(tmp_path)
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(
        NotPrepared, match="'w' is stored as F8_E4M3; the graph is written from F32, F16, BF16"
    ):
        Tensors(tmp_path)["w"]
    with pytest.raises(NotPrepared, match=r"the checkpoint has no tensor 'norm\.weight'"):
        Tensors(tmp_path)["norm.weight"]


def test_scalings_that_change_with_the_length_end_where_they_would_change(tmp_path: Path):
    theirs = random_model("phi3-longrope", VOCABULARY)
    assert architecture_of(theirs.config).positions == 128
    assert architecture_of(random_model("phi3", VOCABULARY).config).positions == 256
