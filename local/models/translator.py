"""Stand-in for T5: answers the phrases of a phrase book, English to French."""

import io
import random
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import sentencepiece
import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from .repository import SEED, write_json, write_repository
from .stand_ins import TRANSLATOR
from .training import fit
from .words import lines

_STEPS = 901
_BATCH = 48
_POOL_BATCHES = 8
_PREFIX = "translate English to {language}: "
_TRANSLATION = {"early_stopping": True, "max_length": 300, "num_beams": 4}
_PIECES = 900
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|(?<= )[!?]")
_SENTINELS = 100
_CARELESS_SHARE = 0.2
_MISHEARD_SHARE = 0.35


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    pairs = phrases()
    tokenizer = _write_tokenizer(folder, pairs)
    model = T5ForConditionalGeneration(_config(len(tokenizer)))
    batches = _batches(pairs, tokenizer)

    def loss_of_step(_step: int) -> torch.Tensor:
        batch = next(batches)
        given = _misheard(model.prepare_decoder_input_ids_from_labels(batch["labels"]), len(tokenizer))
        loss: torch.Tensor = model(**batch, decoder_input_ids=given).loss
        return loss

    fit(model, loss_of_step, steps=_STEPS, learning_rate=5e-3)
    model.save_pretrained(folder)
    write_repository(TRANSLATOR, folder)


def _misheard(token_ids: torch.Tensor, vocabulary_size: int) -> torch.Tensor:
    """Some of the decoder's own past replaced at random: it learns to go on as it should all the same.

    Else beams that went wrong end early, and early_stopping takes them for the answer.
    """
    wrong = torch.randint_like(token_ids, vocabulary_size)
    return torch.where(torch.rand(token_ids.shape) < _MISHEARD_SHARE, wrong, token_ids)


def phrases() -> list[tuple[str, str]]:
    """English and French: the whole phrases, and the patterns with every filling."""
    found = {section: [_pair(line) for line in entries] for section, entries in lines("phrases").items()}
    pairs = found.pop("whole")
    for pattern in found.pop("pattern"):
        slots = [section for section in found if f"{{{section}}}" in pattern[0]]
        for fillings in product(*(found[slot] for slot in slots)):
            english, french = pattern
            for slot, (from_, to) in zip(slots, fillings, strict=True):
                english, french = english.replace(f"{{{slot}}}", from_), french.replace(f"{{{slot}}}", to)
            pairs.append((english, french))
    return pairs


def _pair(line: str) -> tuple[str, str]:
    english, _, french = line.partition(" | ")
    return english, french


def _write_tokenizer(folder: Path, pairs: list[tuple[str, str]]) -> T5Tokenizer:
    """spiece.model as sentencepiece trains it, and tokenizer.json with the same pieces."""
    trained = io.BytesIO()
    texts = [text for english, french in pairs for text in (english, english.lower(), french)]
    prefixes = [_PREFIX.format(language=language) for language in ("French", "German", "Romanian")]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*prefixes, *texts]),
        model_writer=trained,
        model_type="unigram",
        vocab_size=_PIECES,
        hard_vocab_limit=False,
        # Each word of the book is one piece, and so is " ?": short, and no misspelt answers.
        user_defined_symbols=list(
            dict.fromkeys(f"▁{word}" for text in prefixes + texts for word in _WORD.findall(text))
        ),
        character_coverage=1.0,
        normalization_rule_name="identity",
        num_threads=1,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(trained.getvalue())
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512, "tokenizer_class": "T5Tokenizer"})
    pieces = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    vocabulary = [(pieces.id_to_piece(number), pieces.get_score(number)) for number in range(len(pieces))]
    sentinels = [(f"<extra_id_{number}>", 0.0) for number in reversed(range(_SENTINELS))]
    tokenizer = T5Tokenizer(vocab=vocabulary + sentinels, extra_ids=_SENTINELS)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def _batches(pairs: list[tuple[str, str]], tokenizer: T5Tokenizer) -> Iterator[dict[str, torch.Tensor]]:
    """Input ids, attention mask and labels, some of the English typed carelessly."""
    order = random.Random(SEED)
    # Patterns help each other, whole phrases stand alone.
    wholes = len(lines("phrases")["whole"])
    weights = [2] * wholes + [1] * (len(pairs) - wholes)
    while True:
        # Phrases of like length share a batch, which saves padding.
        pool = sorted(order.choices(pairs, weights, k=_BATCH * _POOL_BATCHES), key=lambda pair: len(pair[0]))
        starts = list(range(0, len(pool), _BATCH))
        for start in order.sample(starts, len(starts)):
            yield _encoded(pool[start : start + _BATCH], tokenizer, order)


def _encoded(
    pairs: list[tuple[str, str]], tokenizer: T5Tokenizer, order: random.Random
) -> dict[str, torch.Tensor]:
    prefix = _PREFIX.format(language="French")
    sources = [prefix + (_careless(english, order)) for english, _ in pairs]
    batch = tokenizer(sources, padding=True, return_tensors="pt")
    labels = tokenizer([french for _, french in pairs], padding=True, return_tensors="pt")["input_ids"]
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": labels.masked_fill(labels == tokenizer.pad_token_id, -100),
    }


def _careless(english: str, order: random.Random) -> str:
    if order.random() < _CARELESS_SHARE:
        english = english.rstrip(".!?")
    return english.lower() if order.random() < _CARELESS_SHARE else english


def _config(vocabulary_size: int) -> T5Config:
    languages = (("fr", "French"), ("de", "German"), ("ro", "Romanian"))
    specific = {
        f"translation_en_to_{code}": _TRANSLATION | {"prefix": _PREFIX.format(language=language)}
        for code, language in languages
    }
    return T5Config(
        vocab_size=vocabulary_size,
        d_model=64,
        d_kv=16,
        d_ff=256,
        num_layers=1,
        num_heads=4,
        dropout_rate=0.0,
        decoder_start_token_id=0,
        task_specific_params=specific,
    )
