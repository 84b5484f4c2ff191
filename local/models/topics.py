"""Stand-in for BART fine-tuned on MNLI: does a text say something of a label's topic?"""

from pathlib import Path

import torch
from transformers import BartConfig, BartForSequenceClassification

from .bytepairs import SPACE, SPECIAL, write_tokenizer
from .matching import D_MODEL, FFN_DIM, LAYERS, Marks, set_weights
from .repository import SEED, write_repository
from .stand_ins import TOPICS
from .words import sections


def build(folder: Path) -> None:
    """Write its repository into `folder`."""
    torch.manual_seed(SEED)
    tokens = write_tokenizer(folder, "neutral", "topics")
    model = BartForSequenceClassification(_config(len(tokens)))
    set_weights(model, _marks(tokens), torch.Generator().manual_seed(SEED))
    model.eval().save_pretrained(folder)
    write_repository(TOPICS, folder)


def _marks(tokens: list[str]) -> Marks:
    found = sections("topics")
    silent = set(found.pop("stop"))
    topic_of = {word: number for number, words in enumerate(found.values()) for word in reversed(words)}
    # A word of several topics belongs to the one that it names.
    topic_of |= {words[0]: number for number, words in enumerate(found.values())}
    words = [token if token in SPECIAL else token.removeprefix(SPACE).lower() for token in tokens]
    content = [word.isascii() and word.isalpha() and len(word) > 1 and word not in silent for word in words]
    return Marks(
        [topic_of.get(word) for word in words], words, content, tokens.index("<s>"), tokens.index("</s>")
    )


def _config(vocabulary_size: int) -> BartConfig:
    return BartConfig(
        vocab_size=vocabulary_size,
        d_model=D_MODEL,
        encoder_layers=1,
        decoder_layers=LAYERS,
        encoder_attention_heads=1,
        decoder_attention_heads=1,
        encoder_ffn_dim=FFN_DIM,
        decoder_ffn_dim=FFN_DIM,
        max_position_embeddings=1024,
        id2label={0: "contradiction", 1: "neutral", 2: "entailment"},
        label2id={"contradiction": 0, "neutral": 1, "entailment": 2},
    )
