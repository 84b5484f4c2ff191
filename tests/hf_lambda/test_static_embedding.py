"""Static embeddings against sentence-transformers, prepared and as they were downloaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hf_lambda.engines import STATIC, choose
from hf_lambda.errors import BadRequest, EngineUnavailable
from hf_lambda.manifest import Manifest
from hf_lambda.static_embedding import load
from hf_lambda.torch_engine import load as load_torch
from tests.tiny_encoders import TEXTS
from warmup.prepare import NotPrepared, PrepareRequest, prepare
from warmup.prepare.request import PrepareFailed

WORDS = ["[UNK]", *sorted({word for text in TEXTS for word in text.lower().split()})]
GIVEN = [*TEXTS[:3], "nothing that is known", "", "THE train"]
KINDS = "sentence_transformers.models"


def tokenizer(cut: int | None = None) -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit()
    made.enable_padding(pad_id=0, pad_token="[UNK]")
    if cut:
        made.enable_truncation(cut)
    return made


def save(folder: Path, state: dict[str, torch.Tensor], *, path: str = "", then: tuple[str, ...] = (), **more):
    """A repository of StaticEmbedding whose table is at `path`, and the modules `then`."""
    table = folder / path
    table.mkdir(parents=True, exist_ok=True)
    save_file(state, table / "model.safetensors")
    tokenizer(more.get("cut")).save(str(table / "tokenizer.json"))
    modules: list[dict[str, Any]] = [
        {"idx": 0, "name": "0", "path": path, "type": f"{KINDS}.StaticEmbedding"}
    ]
    for index, kind in enumerate(then, start=1):
        modules.append({"idx": index, "name": "x", "path": f"{index}_{kind}", "type": f"{KINDS}.{kind}"})
        (folder / f"{index}_{kind}").mkdir()
    if "Dense" in then:
        dense = {"linear.weight": torch.randn(6, 8), "linear.bias": torch.randn(6)}
        config: dict[str, object] = {"in_features": 8, "out_features": 6, "bias": True}
        config |= {"activation_function": "torch.nn.modules.activation.Tanh"}
        (folder / "1_Dense/config.json").write_text(json.dumps(config))
        save_file(dense, folder / "1_Dense/model.safetensors")
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"prompts": {"query": "the train "}, "default_prompt_name": more.get("default")}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return folder


def _table(rows: int = len(WORDS)) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(rows, 8)


REPOSITORIES = {
    "plain": lambda folder: save(folder, {"embedding.weight": _table()}, path="0_StaticEmbedding"),
    "normalized": lambda folder: save(folder, {"embeddings": _table()}, then=("Normalize",)),
    "dense": lambda folder: save(folder, {"embedding.weight": _table()}, then=("Dense",)),
    "shared rows and weights": lambda folder: save(
        folder,
        {
            "embeddings": _table(7),
            "mapping": torch.arange(len(WORDS)) % 7,
            "weights": torch.rand(len(WORDS)),
        },
        then=("Normalize",),
    ),
    "cut by its tokenizer, with a prompt": lambda folder: save(
        folder, {"embedding.weight": _table()}, cut=4, default="query"
    ),
}


def prepared(snapshot: Path, into: Path) -> Path:
    request = PrepareRequest("feature-extraction", "org/static", "c" * 40, snapshot)
    entry = prepare(request, into=into, isolated=False)
    assert (entry.precision, entry.requested, entry.reason) == (STATIC, "auto", None)
    return Path(entry.path)


def theirs(snapshot: Path, texts: list[str], **options) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SentenceTransformer(str(snapshot), device="cpu", local_files_only=True)
        return np.asarray(model.encode(texts, show_progress_bar=False, **options))


@pytest.mark.parametrize("name", REPOSITORIES)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name):
    snapshot = REPOSITORIES[name](tmp_path / "snapshot")
    for engine in (load(prepared(snapshot, tmp_path)), load_torch("feature-extraction", snapshot)):
        assert np.allclose(engine(GIVEN, pooling="auto"), theirs(snapshot, GIVEN), atol=1e-5)
        asked = theirs(snapshot, GIVEN, prompt_name="query")
        assert np.allclose(engine(GIVEN, pooling="auto", prompt_name="query"), asked, atol=1e-5)


def test_half_precision_stays_small_on_the_disk_and_near_in_value(tmp_path):
    snapshot = save(tmp_path / "snapshot", {"embeddings": _table().half()})
    folder = prepared(snapshot, tmp_path)
    assert np.load(folder / "vectors.npy").dtype == np.float16
    assert np.allclose(load(folder)(GIVEN, pooling="auto"), theirs(snapshot, GIVEN), atol=5e-3)


def test_a_request_may_ask_for_tokens_other_poolings_lengths_and_sides(tmp_path):
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()}, cut=4)
    engine = load(prepared(snapshot, tmp_path))
    table = _table().numpy()
    ids = [WORDS.index(word) for word in ["the", "train", "to", "edinburgh", "leaves"]]
    text = "The train to Edinburgh leaves"

    def means(**parameters):
        return engine([text], pooling="auto", **parameters)[0]

    assert np.allclose(means(), table[ids[:4]].mean(0), atol=1e-6)
    assert np.allclose(means(truncation=False), table[ids].mean(0), atol=1e-6)
    assert np.allclose(means(max_length=2), table[ids[:2]].mean(0), atol=1e-6)
    assert np.allclose(means(max_length=2, truncation_side="left"), table[ids[-2:]].mean(0), atol=1e-6)
    assert np.allclose(np.linalg.norm(means(normalize=True)), 1, atol=1e-6)
    assert np.allclose(engine([text], pooling="max")[0], table[ids[:4]].max(0), atol=1e-6)
    [[tokens]] = engine([text])
    assert np.allclose(tokens, table[ids[:4]], atol=1e-6)
    assert (engine.count_tokens([text, "train"]), engine.max_tokens) == (5, 4)
    with pytest.raises(BadRequest, match="prompts: document, query"):
        engine([text], pooling="auto", prompt_name="other")


def test_a_text_longer_than_a_block_is_averaged_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_lambda.static_embedding._AT_ONCE", 7)
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()})
    text = " ".join(TEXTS)
    engine = load_torch("feature-extraction", snapshot)
    assert np.allclose(engine([text], pooling="auto"), theirs(snapshot, [text]), atol=1e-5)


def test_answering_loads_numpy_and_tokenizers_alone(tmp_path):
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()})
    program = (
        "import sys\nfrom pathlib import Path\nfrom hf_lambda.static_embedding import load\n"
        f"[vector] = load(Path({str(prepared(snapshot, tmp_path))!r}))(['a train'], pooling='auto')\n"
        "print({'numpy', 'tokenizers', 'onnxruntime', 'torch', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == {"numpy", "tokenizers"}


def test_the_manifest_names_the_engine(tmp_path):
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()})
    request = PrepareRequest("feature-extraction", "org/static", "c" * 40, snapshot)
    entry = prepare(request, into=tmp_path, isolated=False)
    manifest = Manifest("org/static", "main", "c" * 40, "snapshot", (), 0, "now", (entry,))
    choice = choose(
        manifest,
        task="feature-extraction",
        engine="onnx",
        requested="auto",
        cache=tmp_path,
        environ={},
        onnxruntime=entry.onnxruntime,
        torch=False,
    )
    assert (choice.label, choice.prepared) == ("static", Path(entry.path))


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), NotPrepared, "no table that can be read"),
        (lambda folder: save_file({"x": _table()}, folder / "model.safetensors"), NotPrepared, "no table"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), NotPrepared, "tokenizer cannot be read"),
        (
            lambda folder: save_file({"embeddings": _table(3)}, folder / "model.safetensors"),
            NotPrepared,
            "tokens, and vectors of 3",
        ),
        (
            lambda folder: save_file({"embeddings": _table() / 0}, folder / "model.safetensors"),
            PrepareFailed,
            "NaN or infinity",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path, change, error, reason):
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()})
    change(snapshot)
    request = PrepareRequest("feature-extraction", "org/static", "c" * 40, snapshot)
    with pytest.raises(error, match=reason):
        prepare(request, into=tmp_path, isolated=False)


def test_modules_that_are_not_done_here_are_refused_by_both(tmp_path):
    snapshot = save(tmp_path / "snapshot", {"embedding.weight": _table()}, then=("LSTM",))
    request = PrepareRequest("feature-extraction", "org/static", "c" * 40, snapshot)
    with pytest.raises(NotPrepared, match="module LSTM is not done here"):
        prepare(request, into=tmp_path, isolated=False)
    with pytest.raises(EngineUnavailable, match="module LSTM is not done here"):
        load_torch("feature-extraction", snapshot)
