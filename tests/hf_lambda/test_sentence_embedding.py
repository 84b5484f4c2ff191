"""A repository's vectors as sentence-transformers makes them: read from its files, made of token states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from hf_lambda.onnx_engine.contract import EncoderContract
from hf_lambda.onnx_engine.encoder import Encoder
from hf_lambda.sentence_embedding import POOLING_MODES, NotUnderstood, read_embedder, read_rules
from tests import tiny_encoders
from warmup.prepare import PrepareRequest, prepare

TEXTS = ["I love this little cafe.", "ok", "The train to Edinburgh leaves at 7:45 from platform 9."]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("bert") / "model")
    return tiny_encoders.save_head(folder, "AutoModel")


@pytest.fixture
def saved(encoder, tmp_path):
    """`saved(Pooling(32), ...)`: a repository of these modules over one tiny encoder, and its model."""

    def make(*modules: Any, max_seq_length: int | None = None, **options: Any) -> tuple[Path, Any]:
        torch.manual_seed(1)
        transformer = Transformer(str(encoder), max_seq_length=max_seq_length)
        model = SentenceTransformer(modules=[transformer, *modules], device="cpu", **options)
        model.save(str(tmp_path / "saved"))
        return tmp_path / "saved", SentenceTransformer(str(tmp_path / "saved"), device="cpu")

    return make


def _vectors(snapshot: Path, into: Path, texts: list[str]) -> Any:
    """By the prepared folder alone."""
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    folder = Path(prepare(request, into=into, isolated=False).path)
    contract = EncoderContract.read(folder)
    rules = contract.embedding
    assert rules is not None
    embedder, encoder = read_embedder(rules, folder), Encoder(contract, folder)
    encodings = encoder.encode(texts, max_length=rules.max_length or encoder.limit(True, None))
    made: list[Any] = [None] * len(texts)
    for index, (states,) in encoder.run(encodings, ["last_hidden_state"]):
        made[index] = embedder.vector(states[: len(encodings[index].ids)])
    return np.stack(made)


@pytest.mark.parametrize("mode", POOLING_MODES)
def test_every_pooling_gives_the_packages_vectors(saved, tmp_path, mode):
    snapshot, theirs = saved(Pooling(32, pooling_mode=mode))
    np.testing.assert_allclose(_vectors(snapshot, tmp_path, TEXTS), theirs.encode(TEXTS), atol=1e-4)


@pytest.mark.parametrize(
    "modules",
    [
        lambda: [Pooling(32, ("max", "cls", "mean"))],
        lambda: [Pooling(32), Normalize()],
        lambda: [Pooling(32), Dense(32, 8)],
        lambda: [Pooling(32), Dense(32, 8, bias=False, activation_function=torch.nn.Identity()), Normalize()],
        lambda: [Pooling(32), Dense(32, 48, activation_function=torch.nn.ReLU()), Dense(48, 8), Normalize()],
        lambda: [Pooling(32), Dense(32, 32, activation_function=torch.nn.Sigmoid(), use_residual=True)],
        lambda: [Pooling(32), Dense(32, 8, use_residual=True)],
        lambda: [Pooling(32), Dropout(0.5), Normalize()],
    ],
)
def test_dense_layers_and_normalisation_give_the_packages_vectors(saved, tmp_path, modules):
    snapshot, theirs = saved(*modules())
    np.testing.assert_allclose(_vectors(snapshot, tmp_path, TEXTS), theirs.encode(TEXTS), atol=1e-4)


@pytest.mark.parametrize("is_old", [True, False])
def test_a_text_is_cut_where_the_authors_cut_it(saved, tmp_path, is_old):
    """Older versions of the package wrote the length into a file of their own, newer ones the tokenizer's."""
    snapshot, theirs = saved(Pooling(32), max_seq_length=None if is_old else 6)
    if is_old:
        (snapshot / "sentence_bert_config.json").write_text('{"max_seq_length": 6, "do_lower_case": false}')
        theirs = SentenceTransformer(str(snapshot), device="cpu")
        assert read_rules(snapshot).max_length == 6
    long = [" ".join(TEXTS)]
    assert theirs.tokenizer.model_max_length == 6
    np.testing.assert_allclose(_vectors(snapshot, tmp_path, long), theirs.encode(long), atol=1e-4)


def test_a_repository_without_modules_is_pooled_by_the_mean(encoder, tmp_path):
    theirs = SentenceTransformer(str(encoder), device="cpu")
    np.testing.assert_allclose(_vectors(encoder, tmp_path, TEXTS), theirs.encode(TEXTS), atol=1e-4)


def test_prompts_are_read_by_name(saved):
    prompts = {"query": "query: ", "document": "passage: "}
    snapshot, theirs = saved(Pooling(32, include_prompt=False), prompts=prompts, default_prompt_name="query")
    rules = read_rules(snapshot)
    assert (rules.prompts, rules.default_prompt, rules.include_prompt) == (prompts, "query", False)
    assert theirs.default_prompt_name == "query"


def test_the_pooling_of_older_repositories_is_read(saved):
    snapshot, _ = saved(Pooling(32))
    old = {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True}
    (snapshot / "1_Pooling" / "config.json").write_text(json.dumps(old))
    assert read_rules(snapshot).pooling == ("cls", "max")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("modules.json", "{", "modules.json cannot be read"),
        ("modules.json", "[7]", "not a list of modules"),
        ("modules.json", '[{"type": "own.Module", "path": ""}]', "own.Module is code of its own"),
        ("1_Pooling/config.json", '{"pooling_mode": "median"}', "pooling 'median' is none of cls, max"),
        ("1_Pooling/config.json", "[]", "config.json is not an object"),
        ("config_sentence_transformers.json", '{"model_type": "SparseEncoder"}', "it is a SparseEncoder"),
        ("config_sentence_transformers.json", '{"default_prompt_name": "x"}', "'x' is none of its prompts"),
        ("2_Dense/config.json", '{"activation_function": "own.Swish"}', "own.Swish of its Dense is none of"),
        ("2_Dense/config.json", '{"module_input_name": "token_embeddings"}', "reads 'token_embeddings'"),
    ],
)
def test_what_is_not_understood_is_refused_by_name_and_keeps_no_model_from_being_prepared(
    saved, tmp_path, name, content, reason
):
    snapshot, _ = saved(Pooling(32), Dense(32, 8))
    (snapshot / name).write_text(content)
    with pytest.raises(NotUnderstood, match=reason):
        read_rules(snapshot)


def test_a_model_whose_modules_are_not_understood_is_prepared_and_says_why(saved, tmp_path):
    snapshot, _ = saved(Pooling(32), LayerNorm(32))
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    contract = EncoderContract.read(Path(prepare(request, into=tmp_path, isolated=False).path))
    assert contract.embedding is None
    assert contract.embedding_problem == "its module LayerNorm is not done here"


def test_a_dense_layer_without_weights_is_not_understood(saved, tmp_path):
    snapshot, _ = saved(Pooling(32), Dense(32, 8))
    (snapshot / "2_Dense" / "model.safetensors").unlink()
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    contract = EncoderContract.read(Path(prepare(request, into=tmp_path, isolated=False).path))
    assert str(contract.embedding_problem).startswith("its dense layer 2_Dense has no weights")


def test_the_contract_is_read_as_it_was_written(saved):
    rules = read_rules(saved(Pooling(32), Dense(32, 8), Normalize(), prompts={"query": "q: "})[0])
    assert type(rules).from_json(json.loads(json.dumps(rules.to_json()))) == rules
