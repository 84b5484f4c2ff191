"""Tiny models with random weights, and a cache with the manifests that the warm-up leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_lambda import engines
from hf_lambda.manifest import Manifest, write_manifest

COMMIT = "b" * 40
WORDS = """
    the a cat dog sat on mat rug we love hate this film book is was very good bad happy sad in . , ? ! :
    paris london berlin sarah lives and works where who what city summarize translate english to french
    positive negative example text about technology sport politics
"""


def word_tokenizer(max_length: int | None = 64) -> Any:
    """BERT-like: lower case, words, `##` pieces of single letters, so that any text has tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789{}-'"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    tokens += [letter for letter in letters if letter not in tokens] + [f"##{letter}" for letter in letters]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    options = {} if max_length is None else {"model_max_length": max_length}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **options,
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that is the environment's."""
    for name in ("AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "COLD_DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("WARM_COMMAND", "make warm STACK=test")
    return tmp_path


@pytest.fixture
def warm(cache):
    """`warm()` publishes an empty snapshot of org/name; `warm(folder)` a copy of that model."""

    def publish(folder=None, model="org/name", **changes):
        snapshot = cache / "hub" / "models--org--name" / "snapshots" / COMMIT
        if folder is None:
            snapshot.mkdir(parents=True, exist_ok=True)
        else:
            shutil.copytree(folder, snapshot)
        fields = {"files": (), "bytes": 0, "warmed_at": "", **changes}
        write_manifest(cache, Manifest(model, "main", COMMIT, str(snapshot.relative_to(cache)), **fields))

    return publish


@pytest.fixture
def engine(monkeypatch):
    """Stands for a loaded engine: `calls` has what it was asked, `loads` how it was loaded."""

    class Engine:
        def __init__(self):
            self.loads, self.calls = [], []
            self.results = lambda items: [{"label": item} for item in items]

        def __call__(self, items, **parameters):
            self.calls.append((items, parameters))
            return self.results(items)

    engine = Engine()

    def load(choice, task, snapshot, options, consent=None):
        engine.loads.append((choice.label, task, snapshot.name))
        return engine

    monkeypatch.setattr(engines, "load", load)
    return engine


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny("BertForSequenceClassification", num_labels=3)` -> folder of such a model, built once."""
    built: dict[str, Path] = {}

    def build(architecture: str, **config: Any) -> Path:
        key = f"{architecture}-{sorted(config.items())}"
        if key not in built:
            built[key] = _build(tmp_path_factory.mktemp(architecture), architecture, config)
        return built[key]

    return build


def _build(folder: Path, architecture: str, config: dict[str, Any]) -> Path:
    import torch
    import transformers

    tokenizer = word_tokenizer(config.pop("tokenizer_max_length", 64))
    model_class = getattr(transformers, architecture)
    generation = config.pop("generation", {})
    torch.manual_seed(3)
    model = model_class(model_class.config_class(**_sizes(architecture, tokenizer), **config))
    # Weights as small as the default's give every token the same score: make them tell apart.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.dim() > 1 else 1)
    if model.can_generate():
        model.generation_config.update(**generation)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sizes(architecture: str, tokenizer: Any) -> dict[str, Any]:
    vocabulary = {"vocab_size": len(tokenizer)}
    if architecture.startswith("Bert"):
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return vocabulary | sizes | {"max_position_embeddings": 64, "pad_token_id": 0}
    if architecture.startswith("T5"):
        sizes = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
        tokens = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 3}
        return vocabulary | sizes | tokens | {"tie_word_embeddings": False}
    if architecture.startswith("GPT2"):
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
        return vocabulary | sizes | {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64}
    sizes |= {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _HALVES}
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "decoder_start_token_id": 3}
    # Tied, a random model says its first token again: the end.
    return vocabulary | sizes | tokens | {"tie_word_embeddings": False}


_HALVES = (("attention_heads", 2), ("ffn_dim", 64))
