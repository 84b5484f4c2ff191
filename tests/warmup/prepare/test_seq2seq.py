"""Preparing encoder-decoder models: what is exported, what is refused, what the gate says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hf_lambda.onnx_engine.seq2seq_text import Text
from tests.tiny_seq2seq import build, one_thread
from warmup.prepare import NotPrepared, prepare
from warmup.prepare.plan import Disagreement, Plan, plan_of
from warmup.prepare.recipe import _resume
from warmup.prepare.seq2seq.check import gate_generation
from warmup.prepare.seq2seq.reference import NEW_TOKENS, gate_options
from warmup.prepare.steps import run_step

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """`snapshots("bart", eos_token_id=5)` -> folder."""
    with one_thread():
        yield lambda family, **config: build(family, tmp_path_factory.mktemp(family), **config)


@pytest.fixture(scope="module")
def worked(snapshots, tmp_path_factory) -> Path:
    """Work folder of a bart whose fp32 candidate is ready for the gate."""
    plan = plan_of(
        "summarization", snapshots("bart"), tmp_path_factory.mktemp("work"), model="a/b", commit="0" * 40
    )
    work = Path(plan.work)
    work.mkdir(parents=True)
    _resume(plan)
    for step in ("export", "optimize"):
        run_step(work, step)
    return work


def _prepare(snapshot: Path, into: Path, task: str = "summarization", **options):
    options = {"model": "org/tiny", "commit": "0" * 40, "isolated": False, "requested": "fp32", **options}
    return prepare(task, snapshot, into=into, **options)


def test_a_prepared_folder_has_both_graphs_the_tokenizer_and_its_contract(snapshots, tmp_path):
    entry = _prepare(snapshots("t5"), tmp_path)
    folder = Path(entry["path"])
    names = {path.name for path in folder.iterdir()}
    graphs = {"encoder.onnx", "encoder.onnx.data", "decoder.onnx", "decoder.onnx.data"}
    assert names == graphs | {"tokenizer.json", "serving.json", "prepared.json"}
    assert entry["agreement"]["fp32"]["same_text"] == 1.0
    contract = json.loads((folder / "serving.json").read_text())
    assert (contract["head"], contract["positions"]) == ("seq2seq-lm", None)
    assert set(contract["prefetch"]) == {"encoder.onnx.data", "decoder.onnx.data"}


def test_the_encoders_output_is_computed_once_and_the_decoder_needs_no_hidden_state(worked):
    import onnx

    encoder = onnx.load(worked / "fp32" / "encoder.onnx", load_external_data=False).graph
    decoder = onnx.load(worked / "fp32" / "decoder.onnx", load_external_data=False).graph
    crossed = [value.name for value in encoder.output]
    assert crossed == ["cross_k_0", "cross_v_0", "cross_k_1", "cross_v_1"]
    inputs = [value.name for value in decoder.input]
    assert inputs[:3] == ["input_ids", "beam_idx", "encoder_attention_mask"]
    assert {name for name in inputs[3:] if name.startswith("cross_")} == set(crossed)


@pytest.mark.parametrize(
    ("family", "changed", "reason"),
    [
        (
            "bart",
            {"model_type": "blenderbot"},
            "blenderbot models are not prepared for summarization; these are: bart",
        ),
    ],
)
def test_an_unknown_family_is_refused_with_those_that_are_known(snapshots, tmp_path, family, changed, reason):
    folder = snapshots(family)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(NotPrepared, match=reason):
        _prepare(folder, tmp_path)


@pytest.mark.parametrize(
    ("option", "value"), [("num_beam_groups", 2), ("penalty_alpha", 0.6), ("stop_strings", ["."])]
)
def test_a_shipped_option_that_the_loop_has_not_is_refused_not_ignored(snapshots, tmp_path, option, value):
    folder = snapshots("bart")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), option: value}))
    with pytest.raises(
        NotPrepared, match=f"ships what the decoding loop does not do: generation option {option}="
    ):
        _prepare(folder, tmp_path)


def test_samples_of_ones_own_have_to_be_texts(snapshots, tmp_path):
    with pytest.raises(NotPrepared, match="a gate sample of summarization is 7; expected a text"):
        _prepare(snapshots("bart"), tmp_path, samples=[7])
    entry = _prepare(snapshots("bart"), tmp_path / "own", samples=["One text.", "Another one."])
    assert entry["agreement"]["fp32"]["samples"] == 2


def test_samples_of_ones_own_are_split_as_transformers_does_or_the_model_is_refused(
    snapshots, tmp_path, monkeypatch
):
    encode = Text.encode

    def odd(self, texts, **options):
        split = zip(texts, encode(self, texts, **options), strict=True)
        return [ids + [5] * ("odd" in text) for text, ids in split]

    monkeypatch.setattr(Text, "encode", odd)
    with pytest.raises(NotPrepared, match=r"the served tokenizer splits 'An odd text\.' otherwise than"):
        _prepare(snapshots("bart"), tmp_path, samples=["One text.", "An odd text."])


def test_the_gate_accepts_the_same_model(worked):
    figures = gate_generation(Plan.read(worked), worked, "fp32")["fp32"]
    assert figures["same_text"] == figures["same_choice"] == 1.0
    assert figures["score_difference"] < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_gate_refuses_a_candidate_that_writes_something_else(worked, tmp_path, precision):
    """Every answer of transformers' is replaced by another: as a wrong graph would, but at once."""
    copy = _copy_of(worked, tmp_path, precision)
    record = json.loads((copy / "reference.json").read_text())
    record["generated"] = [[*tokens[:16], 9, 8, 7] for tokens in record["generated"]]
    (copy / "reference.json").write_text(json.dumps(record))
    with pytest.raises(Disagreement, match=rf"{precision}: .*0% of the samples generate the same"):
        gate_generation(Plan.read(copy), copy, precision)


def test_the_gate_refuses_scores_that_differ_even_where_the_text_is_the_same(worked, tmp_path):
    copy = _copy_of(worked, tmp_path, "fp32")
    with np.load(copy / "reference.npz") as scores:
        changed = {name: scores[name] * 1.01 for name in scores}
    np.savez(copy / "reference.npz", **changed)
    with pytest.raises(Disagreement, match=r"fp32: scores differ by 0\.0099, allowed 0\.0001"):
        gate_generation(Plan.read(copy), copy, "fp32")


def _copy_of(worked: Path, folder: Path, precision: str) -> Path:
    for name in ("plan.json", "reference.json", "reference.npz"):
        (folder / name).write_bytes((worked / name).read_bytes())
    (folder / precision).symlink_to(worked / "fp32")
    return folder


@pytest.mark.parametrize(
    ("shipped", "longest", "shortest"),
    [
        ({}, NEW_TOKENS, 0),
        ({"max_length": 142, "min_length": 56}, NEW_TOKENS, NEW_TOKENS // 2),
        ({"max_length": 12, "min_length": 3}, 11, 2),
        ({"max_new_tokens": 7, "min_new_tokens": 4}, 7, 3),
    ],
)
def test_the_gate_generates_with_the_models_own_options_cut_short(shipped, longest, shortest):
    options = gate_options(shipped)
    assert (options["max_new_tokens"], options["min_new_tokens"]) == (longest, shortest)
