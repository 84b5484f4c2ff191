"""Language models that embed texts: prepared without their head, pooled as their repository says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hf_lambda.errors import Unprocessable
from hf_lambda.onnx_engine import load
from tests.families import others_slow
from tests.tiny_decoders import snapshot
from warmup.prepare import NotPrepared, PrepareRequest, Tolerance, prepare

TEXTS = ["The train to Edinburgh leaves at 7:45.", "ok", "Rain is expected in the north, " * 9]
POOLING = {
    "lasttoken": {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False},
    "mean": {"pooling_mode_mean_tokens": True},
}


def repository(folder: Path, pooling: str, family: str = "qwen3", **config) -> Path:
    """As Qwen3-Embedding and its like are: a base model, modules.json, prompts."""
    snapshot(family, folder, **config)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.model.save_pretrained(folder)  # names without "model.", no head
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": at,
            "name": str(at),
            "path": "" if at == 0 else f"{at}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for at, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 64, **POOLING[pooling]})
    )
    prompts = {"prompts": {"query": "Instruct: find it\nQuery:"}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def _prepare(source, into, precision="fp32", **options):
    request = PrepareRequest("feature-extraction", "org/embed", "c" * 40, source, precision, **options)
    return prepare(request, into=into, isolated=False)


def _states(source, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()


@pytest.mark.parametrize("family", others_slow(["qwen3", "mistral", "qwen2", "llama"], "qwen3"))
def test_states_and_vectors_are_those_of_transformers(tmp_path, family):
    source = repository(tmp_path / "source", "lasttoken", family)
    entry = _prepare(source, tmp_path)
    assert (entry.head, entry.precision) == ("feature-extraction", "fp32")
    assert entry.agreement["fp32"]["raw_difference"] <= 1e-4
    engine = load("feature-extraction", Path(entry.path))
    for text, vector, states in zip(TEXTS, engine(TEXTS, pooling="auto"), engine(TEXTS), strict=True):
        wanted = _states(source, text)
        np.testing.assert_allclose(states[0], wanted, atol=2e-4 * max(1, np.abs(wanted).max()))
        np.testing.assert_allclose(vector, wanted[-1] / np.linalg.norm(wanted[-1]), atol=2e-4)


@pytest.mark.parametrize("pooling", POOLING)
def test_the_repositorys_pooling_and_prompts_count(tmp_path, pooling):
    source = repository(tmp_path / "source", pooling)
    engine = load("feature-extraction", Path(_prepare(source, tmp_path).path))
    (got,) = engine(TEXTS[:1], pooling="auto", prompt_name="query")
    states = _states(source, "Instruct: find it\nQuery:" + TEXTS[0])
    wanted = states[-1] if pooling == "lasttoken" else states.mean(axis=0)
    np.testing.assert_allclose(got, wanted / np.linalg.norm(wanted), atol=2e-4)


def test_8_bits_pass_the_cosine_that_everybody_gets_or_fp32_is_served(tmp_path):
    source = repository(tmp_path / "source", "lasttoken")
    entry = _prepare(source, tmp_path / "usual", "auto")
    assert (entry.precision, entry.reason) == ("int8", None)
    assert 0.99 <= entry.agreement["int8"]["cosine"] < 1
    entry = _prepare(source, tmp_path / "strict", "auto", tolerance=Tolerance(cosine=0.9999999))
    assert entry.precision == "fp32"
    assert "cosine" in str(entry.reason)


def test_the_memory_that_a_text_takes_is_reported_and_bounds_it(tmp_path, monkeypatch):
    source = repository(tmp_path / "source", "lasttoken")
    entry = _prepare(source, tmp_path)
    assert (entry.context, entry.memory_mb) == (256, 200)
    with pytest.raises(NotPrepared, match=r"fp32 takes 20[0-9] MB of memory, the function has 100"):
        _prepare(source, tmp_path / "i", "auto", tolerance=Tolerance(cosine=1.0), memory_mb=100)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "200")
    with pytest.raises(Unprocessable, match="the function's memory holds 0"):
        load("feature-extraction", Path(entry.path))(TEXTS)


def test_a_text_that_is_too_long_is_cut_or_refused(tmp_path):
    source = repository(tmp_path / "source", "lasttoken", max_position_embeddings=16)
    engine = load("feature-extraction", Path(_prepare(source, tmp_path, samples=("a", "b")).path))
    with pytest.raises(Unprocessable, match="the model takes 16"):
        engine(TEXTS)
    assert [len(states[0]) for states in engine(TEXTS, truncation=True)][2] == 16


def test_a_text_without_tokens_is_refused(tmp_path):
    source = repository(tmp_path / "source", "mean")
    engine = load("feature-extraction", Path(_prepare(source, tmp_path, samples=("a", "b")).path))
    for asked in ({}, {"pooling": "auto"}):
        with pytest.raises(Unprocessable, match="has no tokens"):
            engine(["ok", ""], **asked)


def test_a_model_that_reads_both_ways_stays_on_torch(tmp_path):
    source = repository(tmp_path / "source", "mean", "gemma3", use_bidirectional_attention=True)
    with pytest.raises(NotPrepared, match="bidirectional attention is not prepared"):
        _prepare(source, tmp_path)
