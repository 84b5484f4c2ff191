"""Tiny models of every encoder family, random weights and a trained tokenizer each, as snapshots on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, trainers

FAMILIES = (
    "albert",
    "bert",
    "camembert",
    "deberta-v2",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
TEXTS = [
    "Marie Curie was born in Warsaw and worked in Paris; she won two Nobel Prizes.",
    "The train to Edinburgh leaves at 7:45 from platform 9, and the coffee is wonderful.",
    "Shares of Acme Corp. rose 4.5 % to $1,204.10 after Tuesday's report, didn't they?",
    "Der Zug hatte schon wieder eine Stunde Verspätung, und niemand wusste, warum.",
    "Nous avons passé une soirée délicieuse au bord de la Seine.",
    "This example is about travel. This example is about science. What is it about?",
] * 4
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
_MAX_LENGTH = 64
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 80,
    "initializer_range": 0.3,
}
_WORDPIECE = ("bert", "distilbert", "electra", "mpnet")
_SENTENCEPIECE = ("albert", "camembert", "deberta-v2", "xlm-roberta")


def build(family: str, folder: Path, *, labels: list[str] | None = None, **config_options: Any) -> Path:
    """Save a model with all heads' weights drawn anew by its class, its config and tokenizer in `folder`.

    The heads are added by `save_head`; `labels` names the outputs of the classifiers.
    """
    tokenizer = tokenizer_of(family)
    config = config_of(family, tokenizer, labels or LABELS, **config_options)
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    return folder


def save_head(folder: Path, auto_class: str, seed: int = 0) -> Path:
    """Give the snapshot in `folder` the random weights of `auto_class`."""
    torch.manual_seed(seed)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, auto_class).from_config(config)
    for parameter in model.parameters():  # biases are zero at first: as they are, a lost one goes unseen
        torch.nn.init.normal_(parameter, std=0.2) if parameter.dim() == 1 else None
    model.eval().save_pretrained(folder)
    return folder


def config_of(family: str, tokenizer: Any, labels: list[str], **options: Any) -> Any:
    names = dict(enumerate(labels))
    sizes: dict[str, Any] = {**_SIZES, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if family == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37}
        sizes = {k: v for k, v in sizes.items() if not k.startswith(("hidden_size", "num_", "intermediate"))}
    if family in ("albert", "electra"):
        sizes["embedding_size"] = 16
    if family == "modernbert":
        sizes |= {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 0, "sep_token_id": 2}
        sizes |= {"bos_token_id": 0, "eos_token_id": 2, "reference_compile": False}
    if family == "deberta-v2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        sizes |= {"norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False}
        sizes |= {"type_vocab_size": 0}
    if family in ("roberta", "xlm-roberta", "camembert"):
        sizes |= {"type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}
    if family == "bart":
        sizes |= {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
        sizes |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37}
        sizes |= {"bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "init_std": 0.3}
        sizes = {k: v for k, v in sizes.items() if not k.startswith(("hidden_size", "num_", "intermediate"))}
    return transformers.AutoConfig.for_model(
        family, **{**sizes, **options}, id2label=names, label2id={label: i for i, label in names.items()}
    )


def tokenizer_of(family: str) -> Any:
    if family in _WORDPIECE:
        return _wordpiece(family)
    return _sentencepiece(family) if family in _SENTENCEPIECE else _byte_pairs(family)


def _wordpiece(family: str) -> Any:
    roberta_like = family == "mpnet"
    special = (
        ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
        if roberta_like
        else ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    )
    # Not trained: which of two pairs that are as frequent becomes a piece differs from run to run.
    pieces: set[str] = set()
    for text in TEXTS:
        normal = normalizers.BertNormalizer().normalize_str(text)
        for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normal):
            pieces |= {word, *word, *(f"##{each}" for each in word)}
    vocab = {piece: number for number, piece in enumerate([*special, *sorted(pieces)])}
    name = "MPNetTokenizer" if roberta_like else "BertTokenizer"
    return getattr(transformers, name)(vocab=vocab, model_max_length=_MAX_LENGTH)


def _byte_pairs(family: str) -> Any:
    raw = tokenizers.Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(TEXTS, trainer)
    import json

    model = json.loads(raw.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = transformers.RobertaTokenizer(
        vocab=model["vocab"], merges=merges, model_max_length=_MAX_LENGTH
    )
    if family in ("modernbert", "bart"):  # without segments, as its own tokenizers are
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _likeliest(entry: tuple[str, float]) -> tuple[float, str]:
    return -entry[1], entry[0]


def _sentencepiece(family: str) -> Any:
    special = {
        "albert": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
        "deberta-v2": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
    }.get(family, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    raw = tokenizers.Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown = "[UNK]" if family == "deberta-v2" else "<unk>"
    raw.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token=unknown)
    )
    import json

    entries = json.loads(raw.to_str())["model"]["vocab"]
    # The trainer's last digits, and so the order of what is as likely, differ from run to run.
    learned = sorted(((token, round(score, 3)) for token, score in entries[len(special) :]), key=_likeliest)
    vocab = [*((token, score) for token, score in entries[: len(special)]), *learned]
    name = {
        "albert": "AlbertTokenizer",
        "camembert": "CamembertTokenizer",
        "deberta-v2": "DebertaV2Tokenizer",
        "xlm-roberta": "XLMRobertaTokenizer",
    }[family]
    return getattr(transformers, name)(vocab=vocab, model_max_length=_MAX_LENGTH)
