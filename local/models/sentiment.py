"""Stand-in for DistilBERT fine-tuned on SST-2: tells plainly happy from plainly unhappy sentences."""

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizer

from .repository import SEED, write_json, write_lines, write_repository
from .sentences import Sentences, polarities, words_of_sentences
from .stand_ins import SENTIMENT
from .training import fit
from .wordpiece import stems, wordpiece_vocabulary

_STEPS = 700
_BATCH = 64
_POOL_BATCHES = 8
_PRIOR = 0.5
"""Of four of the embedding's dimensions per word: training starts from what the lists say."""


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    vocabulary = wordpiece_vocabulary(words_of_sentences())
    write_lines(folder / "vocab.txt", vocabulary)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = DistilBertTokenizer(vocab=numbers)
    model = DistilBertForSequenceClassification(_config(len(vocabulary)))
    _start_from_lists(model.distilbert.embeddings.word_embeddings.weight, numbers)
    batches = _batches(tokenizer)

    def loss_of_step(_step: int) -> torch.Tensor:
        token_ids, mask, labels = next(batches)
        logits = model(token_ids, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.01)

    fit(model, loss_of_step, steps=_STEPS, learning_rate=2e-3)
    model.save_pretrained(folder)
    write_repository(SENTIMENT, folder)


def _start_from_lists(embeddings: torch.Tensor, numbers: dict[str, int]) -> None:
    with torch.no_grad():
        for word, polarity in polarities().items():
            for piece in stems(word):
                if piece in numbers:
                    embeddings[numbers[piece], :4] += polarity * _PRIOR


def _batches(tokenizer: DistilBertTokenizer) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Token ids, attention mask and labels; sentences of like length share a batch, which saves padding."""
    sentences, order = Sentences(SEED), random.Random(SEED)
    while True:
        pool = [sentences.draw() for _ in range(_BATCH * _POOL_BATCHES)]
        lengths = [len(ids) for ids in tokenizer([text for text, _ in pool])["input_ids"]]
        ranked = [pool[index] for index in sorted(range(len(pool)), key=lambda index: lengths[index])]
        starts = list(range(0, len(ranked), _BATCH))
        order.shuffle(starts)
        for start in starts:
            texts, labels = zip(*ranked[start : start + _BATCH], strict=True)
            encoded = tokenizer(list(texts), padding=True, return_tensors="pt")
            yield encoded["input_ids"], encoded["attention_mask"], torch.tensor(labels)


def _config(vocabulary_size: int) -> DistilBertConfig:
    return DistilBertConfig(
        vocab_size=vocabulary_size,
        dim=64,
        initializer_range=0.1,
        n_layers=2,
        n_heads=4,
        hidden_dim=128,
        max_position_embeddings=512,
        dropout=0.0,
        attention_dropout=0.0,
        seq_classif_dropout=0.1,
        finetuning_task="sst-2",
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
