"""text-ranking against sentence-transformers' CrossEncoder, on both engines."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from shutil import copytree

import pytest
import torch

from hf_lambda.errors import Unprocessable, UntrainedHead
from hf_lambda.onnx_engine import load as load_onnx
from hf_lambda.onnx_engine.contract import EncoderContract, write_contract
from hf_lambda.torch_engine import load as load_torch
from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS
from warmup.prepare import PrepareRequest, prepare
from warmup.prepare.request import PrepareFailed

QUERY = "Where was Marie born?"
DOCUMENTS = [*TEXTS[:6], "ok", "", "今日は 😀 naïve", " ".join(TEXTS)]
IDENTITY = {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}


def judged(snapshot, query, documents, **options):
    """What CrossEncoder makes of them, under our names."""
    from sentence_transformers import CrossEncoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CrossEncoder(str(snapshot), device="cpu", local_files_only=True)
        ranked = model.rank(query, documents, show_progress_bar=False, **options)
    return [{"index": each["corpus_id"], "score": each["score"]} for each in ranked]


@pytest.mark.parametrize("family", others_slow([*FAMILIES, "bart"], "bert"))
def test_every_family_ranks_as_cross_encoder_does(pair, family):
    both = pair("text-ranking", family)
    given = [{"query": QUERY, "documents": DOCUMENTS}, {"query": "platform 9", "documents": TEXTS[:3]}]
    expected = [judged(both.snapshot, each["query"], each["documents"]) for each in given]
    for engine in (both.fast, load_torch("text-ranking", both.snapshot)):
        same(engine(given), expected)


def test_the_authors_choice_of_activation_length_case_and_prompt_counts(pair, tmp_path):
    both = pair("text-ranking", "bert", **IDENTITY)
    settings = {"prompts": {"web": "Find: "}, "default_prompt_name": "web", "model_type": "CrossEncoder"}
    snapshot = copytree(both.snapshot, tmp_path / "snapshot")
    (snapshot / "config_sentence_transformers.json").write_text(json.dumps(settings))
    (snapshot / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]'
    )
    asked = {"max_seq_length": 24, "do_lower_case": True, "transformer_task": "sequence-classification"}
    (snapshot / "sentence_bert_config.json").write_text(json.dumps(asked))
    entry = prepare(
        PrepareRequest("text-ranking", "a/b", "c" * 40, snapshot, precision="fp32"),
        into=tmp_path,
        isolated=False,
    )
    expected = judged(snapshot, QUERY, DOCUMENTS)
    assert any(each["score"] > 1 or each["score"] < 0 for each in expected)
    for engine in (load_onnx("text-ranking", tmp_path / entry.path), load_torch("text-ranking", snapshot)):
        same(engine([{"query": QUERY, "documents": DOCUMENTS}])[0], expected)


@pytest.mark.parametrize("name", ["sigmoid", "none"])
def test_a_request_may_choose_the_function(pair, name):
    both = pair("text-ranking", "bert", **IDENTITY)
    function = {"sigmoid": torch.nn.Sigmoid(), "none": torch.nn.Identity()}[name]
    expected = judged(both.snapshot, QUERY, DOCUMENTS, activation_fn=function, top_k=3)
    for engine in (both.fast, load_torch("text-ranking", both.snapshot)):
        same(engine([{"query": QUERY, "documents": DOCUMENTS}], function_to_apply=name, top_n=3)[0], expected)


def test_texts_that_may_not_be_cut_are_refused(pair):
    both = pair("text-ranking")
    given = [{"query": QUERY, "documents": DOCUMENTS}]
    for engine in (both.fast, load_torch("text-ranking", both.snapshot)):
        with pytest.raises(Unprocessable, match="truncation"):
            engine(given, truncation=False)
        assert len(engine(given, max_length=12)[0]) == len(DOCUMENTS)


def test_a_model_of_several_labels_is_no_ranker_anywhere(pair, tmp_path):
    both = pair("text-classification")
    for load in (
        lambda: load_torch("text-ranking", both.snapshot),
        lambda: load_onnx("text-ranking", both.prepared),
    ):
        with pytest.raises(UntrainedHead, match=r"gives 5 scores .* text-ranking needs a cross-encoder"):
            load()
    request = PrepareRequest("text-ranking", "a/b", "c" * 40, both.snapshot, precision="fp32")
    with pytest.raises(PrepareFailed, match="gives 5 scores"):
        prepare(request, into=tmp_path, isolated=False)


def test_a_folder_of_before_ranking_says_what_to_do(pair, tmp_path):
    both = pair("text-ranking")
    folder = copytree(both.prepared, tmp_path / "old")
    write_contract(replace(EncoderContract.read(folder), ranking=None), folder)
    with pytest.raises(UntrainedHead, match="warm it again"):
        load_onnx("text-ranking", folder)
