"""Language models from a snapshot to a published folder: the gate, what it refuses, what is tried next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from hf_lambda.onnx_engine import load
from hf_lambda.onnx_engine.contract import DecoderContract
from hf_lambda.onnx_engine.decoder.memory import serving_mb
from hf_lambda.onnx_engine.decoder.model import Model
from tests.families import others_slow
from tests.tiny_decoders import snapshot
from warmup.prepare import NotPrepared, PrepareRequest, Tolerance, prepare
from warmup.prepare.decoder.blocks import rounded

LOOSE = Tolerance(
    int8_kl=1, int8_same_choice=0, int8_perplexity=1, int4_kl=9, int4_same_choice=0, int4_perplexity=9
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return snapshot("qwen2", tmp_path_factory.mktemp("source"), tie_word_embeddings=True)


def _prepare(source, into, **options):
    progress = options.pop("progress", lambda step: None)
    options = {"tolerance": LOOSE, **options}
    request = PrepareRequest("text-generation", "org/tiny", "c" * 40, source, **options)
    return prepare(request, into=into, isolated=False, progress=progress)


def test_a_prepared_folder_answers_without_its_snapshot_and_its_figures_are_in_the_entry(source, tmp_path):
    steps: list[str] = []
    entry = _prepare(source, tmp_path, progress=steps.append)
    folder = Path(entry.path)
    assert steps == ["export", "write-int8-128", "check-int8-128"]
    assert {path.name for path in folder.iterdir()} == {
        *("decoder.onnx", "decoder.onnx.data", "tokenizer.json", "serving.json", "prepared.json"),
    }
    assert (entry.head, entry.precision, entry.reason) == ("causal-lm", "int8", None)
    figures = entry.agreement["int8"]
    assert figures["tokens"] > 500
    assert 0 < figures["kl"] < 1
    assert (figures["kl_allowed"], figures["same_choice_allowed"], figures["block_size"]) == (1, 0, 64)
    engine = load("text-generation", folder)
    assert engine(["The train"], max_new_tokens=3)[0][0]["generated_text"].startswith("The train")


def test_what_is_read_ahead_is_the_whole_file_where_the_head_reads_the_embeddings(source, tmp_path):
    folder = Path(_prepare(source, tmp_path).path)
    document = json.loads((folder / "serving.json").read_text())
    size = (folder / "decoder.onnx.data").stat().st_size
    tables = 2 * 256 * 8 * 4  # the rotations
    assert size - tables - 2 * 4096 <= document["prefetch"]["decoder.onnx.data"] <= size - tables


def test_fp32_agrees_within_its_tolerance(source, tmp_path):
    entry = _prepare(source, tmp_path, precision="fp32")
    assert entry.precision == "fp32"
    assert entry.agreement["fp32"]["score_difference"] <= 1e-4
    assert entry.agreement["fp32"]["kl"] <= 1e-6
    assert "block_size" not in entry.agreement["fp32"]


@pytest.mark.parametrize("first", others_slow(["int8", "int4"], "int8"))
def test_8_bits_that_wide_blocks_spoil_are_tried_in_blocks_of_32(source, tmp_path, monkeypatch, first):
    """Whatever their loss here: the wide ones are written wrongly, the gate has to notice."""

    def spoilt(rows, bits, block):
        values, scales = rounded(rows, bits, block)
        return values, 2 * scales if block > 32 else scales

    monkeypatch.setattr("warmup.prepare.decoder.graph.rounded", spoilt)
    bounds = {"int8_kl": 0.5, "int4_kl": 1e-9}
    steps: list[str] = []
    tolerance = Tolerance(**{**vars(LOOSE), **bounds})
    entry = _prepare(source, tmp_path, precision=first, tolerance=tolerance, progress=steps.append)
    tried = ["write-int8-128", "check-int8-128", "write-int8-32", "check-int8-32"]
    assert [step for step in steps if "int8" in step] == tried
    assert (entry.precision, entry.agreement["int8"]["block_size"]) == ("int8", 32)
    assert entry.agreement["int8"]["kl"] < 0.5
    assert (entry.reason is None) == (first == "int8")
    assert "int8" not in str(entry.reason)
    assert load("text-generation", Path(entry.path))(["The train"], max_new_tokens=2)


@pytest.mark.parametrize(
    ("tolerance", "reason"),
    others_slow(
        [
            KL := ({"int8_kl": 1e-9}, r"int8: the mean KL divergence is \S+, allowed 1e-09"),
            ({"int8_same_choice": 1.01}, r"int8: \S+% of the sure choices are the same, 101\.0% are asked"),
            ({"int8_perplexity": -1}, r"int8: the perplexity grows by \S+%, allowed -100\.00%"),
        ],
        KL,
    ),
)
def test_8_bits_beyond_a_tolerance_are_served_in_fp32_with_the_reason(source, tmp_path, tolerance, reason):
    entry = _prepare(source, tmp_path, tolerance=Tolerance(**{**vars(LOOSE), **tolerance}))
    assert entry.precision == "fp32"
    assert pytest.approx(1.0) == entry.agreement["fp32"]["same_choice"]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(entry.reason)


def test_4_bits_are_asked_for_and_8_are_the_next_better(source, tmp_path):
    entry = _prepare(source, tmp_path / "loose", precision="int4")
    assert entry.precision == "int4"
    strict = Tolerance(**{**vars(LOOSE), "int4_kl": 1e-9})
    entry = _prepare(source, tmp_path / "strict", precision="int4", tolerance=strict)
    assert (entry.precision, set(entry.agreement)) == ("int8", {"int4", "int8"})
    assert str(entry.reason).startswith("int4: the mean KL divergence is ")
    assert entry.agreement["int4"]["kl"] > entry.agreement["int8"]["kl"]


def test_fp32_that_the_function_has_no_memory_for_stays_on_torch_and_says_what_it_would_take(
    source, tmp_path
):
    strict = Tolerance(**{**vars(LOOSE), "int8_kl": 1e-9})
    with pytest.raises(
        NotPrepared, match=r"int8: the mean KL .*; fp32 takes 20\d MB of memory, the function has 128"
    ):
        _prepare(source, tmp_path, tolerance=strict, memory_mb=128)
    assert _prepare(source, tmp_path, tolerance=strict, memory_mb=128, precision="fp32").precision == "fp32"


def test_a_function_that_became_smaller_is_not_served_what_a_larger_one_was(source, tmp_path):
    strict = Tolerance(**{**vars(LOOSE), "int8_kl": 1e-9})
    assert _prepare(source, tmp_path, tolerance=strict, memory_mb=512).precision == "fp32"
    steps: list[str] = []
    assert (
        _prepare(source, tmp_path, tolerance=strict, memory_mb=1024, progress=steps.append).precision
        == "fp32"
    )
    assert not steps
    with pytest.raises(NotPrepared, match="fp32 takes"):
        _prepare(source, tmp_path, tolerance=strict, memory_mb=128)


def test_the_memory_that_serving_takes_grows_with_the_texts_it_holds(source, tmp_path):
    """4 layers, 2 heads of 16 for keys and as many for values, in fp32: 1 KiB a token."""
    entry = _prepare(source, tmp_path)
    assert (entry.context, entry.memory_mb) == (256, 200)
    steps: list[str] = []
    shorter = _prepare(source, tmp_path, max_context=64, progress=steps.append)
    assert (shorter.context, steps) == (64, [])
    contract = DecoderContract.read(Path(entry.path))
    assert contract.cache_bytes == Model(Path(entry.path), 8).bytes_per_token == 1024
    assert serving_mb(400 << 20, contract, 102_400) == 600 + 200 + 100


def test_a_better_precision_that_does_not_fit_is_passed_over_for_none(source, tmp_path):
    strict = Tolerance(**{**vars(LOOSE), "int4_kl": 1e-9})
    with pytest.raises(NotPrepared, match=r"int4: .*; int8 takes 200 MB of memory, .*; fp32 takes 20\d MB"):
        _prepare(source, tmp_path, precision="int4", tolerance=strict, memory_mb=128)


def test_a_wrecked_matrix_is_refused(source, tmp_path, monkeypatch):
    """Weights that the graph takes from the wrong place: the gate, not the writer, has to notice."""

    def swapped(rows, bits, block):
        return rounded(rows[::-1] if rows.shape == (96, 64) else rows, bits, block)

    monkeypatch.setattr("warmup.prepare.decoder.graph.rounded", swapped)
    entry = _prepare(source, tmp_path, tolerance=Tolerance(**{**vars(LOOSE), "int8_kl": 0.5}))
    assert entry.precision == "fp32"
    assert entry.agreement["int8"]["kl"] > 0.5


def test_samples_of_ones_own_are_texts_or_chats(source, tmp_path):
    chat = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello."}]
    entry = _prepare(source, tmp_path, samples=("One text of mine.", chat))
    assert entry.agreement["int8"]["tokens"] < 120
    for sample, reason in [
        (7, "is 7; expected a text or chat messages"),
        ("", "expected two tokens at least"),
        ([{"role": "critic", "content": "x"}], "Only system, user and assistant speak here"),
    ]:
        with pytest.raises(NotPrepared, match=reason):
            _prepare(source, tmp_path / "other", samples=(sample,))


def test_other_tolerances_are_another_check(source, tmp_path):
    first = _prepare(source, tmp_path)
    steps: list[str] = []
    assert _prepare(source, tmp_path, progress=steps.append) == first
    assert steps == []
    _prepare(source, tmp_path, tolerance=Tolerance(**{**vars(LOOSE), "int8_kl": 0.9}), progress=steps.append)
    assert steps == ["export", "write-int8-128", "check-int8-128"]


def test_an_unknown_family_stays_on_torch_and_says_which_are_known(source, tmp_path):
    folder = _copy(source, tmp_path, {"model_type": "gpt_neox"})
    with pytest.raises(
        NotPrepared, match="gpt_neox models are not prepared for text-generation; these are: gemma"
    ):
        _prepare(folder, tmp_path / "into")


def test_a_shipped_option_that_the_loop_has_not_is_refused(source, tmp_path):
    folder = _copy(source, tmp_path, {})
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "penalty_alpha": 0.6, "top_k": 4}))
    with pytest.raises(
        NotPrepared, match="org/tiny ships what the decoding loop does not do: `penalty_alpha`"
    ):
        _prepare(folder, tmp_path / "into")


def test_a_template_that_comes_out_otherwise_is_refused(source, tmp_path, monkeypatch):
    from hf_lambda.onnx_engine.decoder import chat

    render = chat.Template.render
    monkeypatch.setattr(chat.Template, "render", lambda *given, **named: render(*given, **named) + " ")
    with pytest.raises(
        NotPrepared, match="the chat template comes out otherwise than transformers renders it"
    ):
        _prepare(source, tmp_path)


def test_a_damaged_weight_of_the_snapshot_is_no_agreement(source, tmp_path):
    """The reference reads the same file: what is not a number can agree with nothing."""
    folder = _copy(source, tmp_path, {})
    path = folder / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    weights["model.norm.weight"] = np.full_like(weights["model.norm.weight"], np.nan)
    safetensors.numpy.save_file(weights, path, {"format": "pt"})
    with pytest.raises(
        NotPrepared, match="int8: the mean KL divergence is nan, allowed 1; fp32: scores differ by nan"
    ):
        _prepare(folder, tmp_path / "into")


def _copy(source: Path, parent: Path, config: dict[str, object]) -> Path:
    folder = parent / "copy"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    document = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**document, **config}))
    return folder
