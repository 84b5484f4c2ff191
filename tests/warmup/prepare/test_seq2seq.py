"""Preparing encoder-decoder models: what is exported, what is refused, what the gate says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hf_lambda.onnx_engine.seq2seq_tokenizer import Seq2SeqTokenizer
from tests.tiny_seq2seq import build, one_thread
from warmup.prepare import NotPrepared, PrepareRequest, prepare
from warmup.prepare.recipe import keep_finished_steps
from warmup.prepare.request import Verdict
from warmup.prepare.seq2seq import reference
from warmup.prepare.seq2seq.check import check
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
    work: Path = tmp_path_factory.mktemp("work")
    keep_finished_steps(PrepareRequest("summarization", "a/b", "0" * 40, snapshots("bart")), work)
    for step in ("export", "optimize"):
        run_step(work, step)
    return work


def _prepare(snapshot: Path, into: Path, task: str = "summarization", **options):
    request = PrepareRequest(task, "org/tiny", "0" * 40, snapshot, precision="fp32", **options)
    return prepare(request, into=into, isolated=False)


def test_a_prepared_folder_has_both_graphs_the_tokenizer_and_its_contract(snapshots, tmp_path):
    entry = _prepare(snapshots("t5"), tmp_path)
    folder = Path(entry.path)
    names = {path.name for path in folder.iterdir()}
    graphs = {"encoder.onnx", "encoder.onnx.data", "decoder.onnx", "decoder.onnx.data"}
    assert names == graphs | {"tokenizer.json", "serving.json", "prepared.json"}
    assert entry.agreement["fp32"]["same_text"] == 1.0
    contract = json.loads((folder / "serving.json").read_text())
    assert (contract["head"], contract["positions"]) == ("seq2seq-lm", None)
    assert set(contract["prefetch"]) == {"encoder.onnx.data", "decoder.onnx.data"}


def test_the_encoders_output_is_computed_once_and_the_decoder_needs_no_hidden_state(worked):
    import onnx

    encoder = onnx.load(worked / "fp32" / "encoder.onnx", load_external_data=False).graph
    decoder = onnx.load(worked / "fp32" / "decoder.onnx", load_external_data=False).graph
    encoder_kv = [value.name for value in encoder.output]
    assert encoder_kv == ["cross_k_0", "cross_v_0", "cross_k_1", "cross_v_1"]
    inputs = [value.name for value in decoder.input]
    assert inputs[:3] == ["input_ids", "beam_idx", "encoder_attention_mask"]
    assert {name for name in inputs[3:] if name.startswith("cross_")} == set(encoder_kv)


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
        _prepare(snapshots("bart"), tmp_path, samples=(7,))
    entry = _prepare(snapshots("bart"), tmp_path / "own", samples=("One text.", "Another one."))
    assert entry.agreement["fp32"]["samples"] == 2


def test_samples_of_ones_own_are_split_as_transformers_does_or_the_model_is_refused(
    snapshots, tmp_path, monkeypatch
):
    encode = Seq2SeqTokenizer.encode

    def odd(self, texts, **options):
        split = zip(texts, encode(self, texts, **options), strict=True)
        return [ids + [5] * ("odd" in text) for text, ids in split]

    monkeypatch.setattr(Seq2SeqTokenizer, "encode", odd)
    with pytest.raises(NotPrepared, match=r"the served tokenizer splits 'An odd text\.' otherwise than"):
        _prepare(snapshots("bart"), tmp_path, samples=("One text.", "An odd text."))


def test_the_gate_accepts_the_same_model(worked):
    verdict = _checked(worked, "fp32")
    figures = verdict.figures
    assert verdict.refused is None
    assert figures["same_text"] == figures["same_choice"] == 1.0
    assert figures["score_difference"] < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_gate_refuses_a_candidate_that_writes_something_else(worked, tmp_path, precision):
    """Every answer of transformers' is replaced by another: as a wrong graph would, but at once."""
    copy = _copy_of(worked, tmp_path, precision)
    right = reference.read(copy)
    wrong = replace(right, generated=[[*tokens[:16], 9, 8, 7] for tokens in right.generated])
    reference.save(wrong, copy)
    refused = str(_checked(copy, precision).refused)
    assert re.match(rf"{precision}: .*0% of the samples generate the same", refused)


def test_the_gate_refuses_scores_that_differ_even_where_the_text_is_the_same(worked, tmp_path):
    copy = _copy_of(worked, tmp_path, "fp32")
    right = reference.read(copy)
    changed = {index: scores * 1.01 for index, scores in right.scores.items()}
    reference.save(replace(right, scores=changed), copy)
    assert _checked(copy, "fp32").refused == "fp32: scores differ by 0.0099, allowed 0.0001"


def _checked(work: Path, precision: str) -> Verdict:
    return check(PrepareRequest.read(work), work, precision)


def _copy_of(worked: Path, folder: Path, precision: str) -> Path:
    for name in ("request.json", "reference.json", "reference.npz"):
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
