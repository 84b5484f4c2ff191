"""Stand-in for DistilBART fine-tuned on CNN/Daily Mail: returns the first sentences of its input."""

import re
import string
from pathlib import Path

import torch
from transformers import BartConfig, BartForConditionalGeneration

from .bytepairs import NEWLINE, SPACE, SPECIAL, write_tokenizer
from .copying import D_MODEL, FFN_DIM, HEADS, Marks, set_weights
from .repository import SEED, write_json, write_repository
from .stand_ins import SUMMARIZER
from .words import sections

_GENERATION = {
    "num_beams": 4,
    "length_penalty": 2.0,
    "no_repeat_ngram_size": 3,
    "early_stopping": True,
    "min_length": 12,
    "max_length": 142,
    "forced_bos_token_id": 0,
}


def build(folder: Path) -> None:
    """Write its repository into `folder`."""
    torch.manual_seed(SEED)
    tokens = write_tokenizer(folder, "neutral", "news", "positive", "negative")
    model = BartForConditionalGeneration(_config(len(tokens)))
    set_weights(model, _marks(tokens), torch.Generator().manual_seed(SEED))
    # The real repository has pickled weights alone, and its generation settings in config.json.
    torch.save(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "pytorch_model.bin",
    )
    written = model.config.to_dict() | _GENERATION
    written |= {
        "architectures": ["BartForConditionalGeneration"],
        "task_specific_params": {"summarization": _GENERATION},
    }
    write_json(folder / "config.json", written)
    write_repository(SUMMARIZER, folder)


def _marks(tokens: list[str]) -> Marks:
    ends = [
        not token.strip(string.punctuation + "âĢĿĻ") and any(mark in token for mark in ".!?")
        for token in tokens
    ]
    opens = [token[0] == NEWLINE or bool(re.match(f"{SPACE}[A-Z\"'(â]", token)) for token in tokens]
    titles = sections("news")["title"]
    bare = [token.removeprefix(SPACE) for token in tokens]
    shortens = [word in titles or (len(word) == 1 and word.isupper() and word != "I") for word in bare]
    special = [token in SPECIAL and token != "</s>" for token in tokens]
    return Marks(ends, opens, shortens, special, tokens.index("</s>"))


def _config(vocabulary_size: int) -> BartConfig:
    return BartConfig(
        vocab_size=vocabulary_size,
        d_model=D_MODEL,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FFN_DIM,
        decoder_ffn_dim=FFN_DIM,
        max_position_embeddings=1024,
        forced_eos_token_id=2,
    )
