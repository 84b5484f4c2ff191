"""A repository's vectors as sentence-transformers makes them: read from its files, made of token states."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from hf_lambda import torch_engine
from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.onnx_engine import load
from hf_lambda.onnx_engine.contract import EncoderContract, write_contract
from hf_lambda.sentence_embedding import POOLING_MODES, NotUnderstood, read_rules
from tests import tiny_encoders
from tests.families import others_slow
from warmup.prepare import PrepareRequest, prepare

TEXTS = ["I love this little cafe.", "ok", "The train to Edinburgh leaves at 7:45 from platform 9."]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tiny_encoders.build("bert", tmp_path_factory.mktemp("bert") / "model")
    return tiny_encoders.save_head(folder, "AutoModel")


@pytest.fixture
def saved(encoder, tmp_path):
    """`saved(Pooling(32), ...)`: a repository of these modules over one tiny encoder, and its model."""

    def make(
        *modules: Any, max_seq_length: int | None = None, source: Path = encoder, **options: Any
    ) -> tuple[Path, Any]:
        torch.manual_seed(1)
        transformer = Transformer(str(source), max_seq_length=max_seq_length)
        model = SentenceTransformer(modules=[transformer, *modules], device="cpu", **options)
        model.save(str(tmp_path / "saved"))
        return tmp_path / "saved", SentenceTransformer(str(tmp_path / "saved"), device="cpu")

    return make


@dataclass(frozen=True)
class Served:
    """One repository behind both engines."""

    torch: Any
    prepared: Any

    def __call__(self, texts: list[str], **parameters: Any) -> Any:
        """The vectors of the prepared model, once those of torch are the same."""
        expected, made = (np.array(engine(texts, **parameters)) for engine in (self.torch, self.prepared))
        np.testing.assert_allclose(made, expected, atol=1e-4)
        return made


def _served(snapshot: Path, into: Path) -> Served:
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    folder = Path(prepare(request, into=into, isolated=False).path)
    return Served(torch_engine.load("feature-extraction", snapshot), load("feature-extraction", folder))


def _vectors(snapshot: Path, into: Path, texts: list[str], **parameters: Any) -> Any:
    return _served(snapshot, into)(texts, pooling="auto", **parameters)


@pytest.mark.parametrize("mode", others_slow(POOLING_MODES, "mean", "lasttoken"))
def test_every_pooling_gives_the_packages_vectors(saved, tmp_path, mode):
    snapshot, theirs = saved(Pooling(32, pooling_mode=mode))
    np.testing.assert_allclose(_vectors(snapshot, tmp_path, TEXTS), theirs.encode(TEXTS), atol=1e-4)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("mode", ["mean", "cls", "weightedmean", "max"])
def test_prompts_go_before_the_texts_as_in_the_package(saved, tmp_path, mode, include_prompt):
    prompts = {"query": "ask the people here: ", "plain": ""}
    pooling = Pooling(32, pooling_mode=mode, include_prompt=include_prompt)
    snapshot, theirs = saved(pooling, prompts=prompts, default_prompt_name="query")
    served = _served(snapshot, tmp_path)
    for options in [
        {},
        {"prompt_name": "query"},
        {"prompt_name": "plain"},
        {"prompt_name": "document"},  # every model has that name, with nothing behind it
        {"prompt": "About cats: "},
        {"prompt": ""},
        {"prompt": "About cats: ", "prompt_name": "query"},
    ]:
        wanted = theirs.encode(TEXTS, **options)
        np.testing.assert_allclose(served(TEXTS, pooling="auto", **options), wanted, atol=1e-4)
    with pytest.raises(
        BadRequest, match="`prompt_name`: expected one of the model's prompts: document, plain"
    ):
        served(TEXTS, pooling="auto", prompt_name="passage")


def test_what_a_call_says_wins_over_what_the_repository_says(saved, tmp_path):
    snapshot, theirs = saved(Pooling(32, pooling_mode="cls"), Normalize(), max_seq_length=6)
    served, long = _served(snapshot, tmp_path), [" ".join(TEXTS), "ok"]
    theirs_alone = SentenceTransformer(modules=[theirs[0], Pooling(32, pooling_mode="cls")], device="cpu")
    np.testing.assert_allclose(
        served(long, pooling="auto", normalize=False), theirs_alone.encode(long), atol=1e-4
    )
    for mode in POOLING_MODES:
        other = SentenceTransformer(modules=[theirs[0], Pooling(32, pooling_mode=mode)], device="cpu")
        np.testing.assert_allclose(served(long, pooling=mode), other.encode(long), atol=1e-4)
        wanted = other.encode(long, normalize_embeddings=True)
        np.testing.assert_allclose(served(long, pooling=mode, normalize=True), wanted, atol=1e-4)
    theirs.max_seq_length = 9
    np.testing.assert_allclose(served(long, pooling="auto", max_length=9), theirs.encode(long), atol=1e-4)
    theirs.max_seq_length = 60
    whole = served([TEXTS[2]], pooling="auto", truncation=False)
    np.testing.assert_allclose(whole, theirs.encode([TEXTS[2]]), atol=1e-4)
    for engine in (served.torch, served.prepared):
        with pytest.raises(Unprocessable, match="the model takes"):
            engine([" ".join(TEXTS * 9)], pooling="auto", truncation=False)
        assert len(engine(long)[0][0]) > 6  # without pooling it is transformers' feature-extraction


def test_texts_are_read_in_lower_case_where_the_authors_did(saved, tmp_path, tmp_path_factory):
    cased = tiny_encoders.build("roberta", tmp_path_factory.mktemp("roberta") / "model")
    snapshot, theirs = saved(Pooling(32), source=tiny_encoders.save_head(cased, "AutoModel"))
    loud = ["I LOVE this Little CAFE.", "İstanbul ΣΑΣ Straße"]
    as_written = theirs.encode(loud)
    (snapshot / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": true}')
    theirs, served = SentenceTransformer(str(snapshot), device="cpu"), _served(snapshot, tmp_path)
    np.testing.assert_allclose(served(loud, pooling="auto"), theirs.encode(loud), atol=1e-4)
    assert np.abs(served(loud, pooling="auto") - as_written).max() > 1e-3
    plain = [np.array(vectors)[0].mean(axis=0) for vectors in served.prepared(loud)]
    np.testing.assert_allclose(plain, as_written, atol=1e-4)  # without pooling as they are


def test_a_folder_that_was_prepared_before_is_not_taken_for_mean_pooling(saved, tmp_path):
    snapshot, _ = saved(Pooling(32, pooling_mode="cls"))
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    folder = Path(prepare(request, into=tmp_path, isolated=False).path)
    write_contract(replace(EncoderContract.read(folder), embedding=None), folder)
    with pytest.raises(Unprocessable, match="prepared before this was known; warm it again"):
        load("feature-extraction", folder)(TEXTS, pooling="auto")


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
        ("sentence_bert_config.json", '{"max_seq_length": "long"}', "max_seq_length is not a number"),
        ("sentence_bert_config.json", '{"transformer_task": "fill-mask"}', "setting transformer_task"),
        ("sentence_bert_config.json", '{"tokenizer_args": {"padding_side": "left"}}', "tokenizer_args"),
        ("config_sentence_transformers.json", '{"prompts": ["q"]}', "prompts are not texts by name"),
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
    assert contract.embedding_problem == "its module LayerNorm is not done here"
    served = _served(snapshot, tmp_path)
    for engine in (served.torch, served.prepared):
        with pytest.raises(
            Unprocessable, match="auto is not possible: its module LayerNorm is not done here"
        ):
            engine(TEXTS, pooling="auto")
    assert served(TEXTS, pooling="max").shape == (3, 32)


def test_a_dense_layer_without_weights_is_not_understood(saved, tmp_path):
    snapshot, _ = saved(Pooling(32), Dense(32, 8))
    (snapshot / "2_Dense" / "model.safetensors").unlink()
    request = PrepareRequest("feature-extraction", "a/b", "c" * 40, snapshot, precision="fp32")
    contract = EncoderContract.read(Path(prepare(request, into=tmp_path, isolated=False).path))
    assert str(contract.embedding_problem).startswith("its dense layer 2_Dense has no weights")


def test_the_contract_is_read_as_it_was_written(saved):
    rules = read_rules(saved(Pooling(32), Dense(32, 8), Normalize(), prompts={"query": "q: "})[0])
    assert type(rules).from_json(json.loads(json.dumps(rules.to_json()))) == rules
