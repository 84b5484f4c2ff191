"""Stand-in for BERT fine-tuned on CoNLL-2003: finds names of people, places and organisations."""

import random
import re
import string
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

from .repository import SEED, write_json, write_lines, write_repository
from .stand_ins import NAMES
from .training import fit
from .wordpiece import SPECIAL
from .words import lines, sections

LABELS = ("O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

_STEPS = 420
_BATCH = 48
_UNKNOWN_SHARE = 0.3
_FILLER_SHARE = 0.15
_NO_LABEL = -100


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    pieces = _vocabulary()
    write_lines(folder / "vocab.txt", pieces)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 512})
    tokenizer = BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=False
    )
    model = BertForTokenClassification(_config(len(pieces)))
    sentences = _sentences()

    def loss_of_step(_step: int) -> torch.Tensor:
        words, labels = zip(*(next(sentences) for _ in range(_BATCH)), strict=True)
        encoded = tokenizer(list(words), is_split_into_words=True, padding=True, return_tensors="pt")
        wanted = [_of_pieces(encoded.word_ids(row), labels[row]) for row in range(_BATCH)]
        logits = model(encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), torch.tensor(wanted))

    fit(model, loss_of_step, steps=_STEPS, learning_rate=3e-3)
    model.save_pretrained(folder)
    write_repository(NAMES, folder)


def _vocabulary() -> list[str]:
    """The lists' words whole, and letters to spell other names with."""
    found = [sections("names"), sections("neutral"), lines("names")]
    entries = [entry for part in found for section in part.values() for entry in section]
    words = [word for entry in entries for word in re.findall(r"\w+", re.sub(r"\{[\w-]+\}", "", entry))]
    letters = string.ascii_letters + string.digits
    pieces = [
        *SPECIAL,
        *string.punctuation,
        *"–—’‘“”…€£",
        *letters,
        *(f"##{letter}" for letter in letters),
        *words,
    ]
    return list(dict.fromkeys(pieces))


def _sentences() -> Iterator[tuple[list[str], list[int]]]:
    """Words and the label of each; a third of the names are in no list."""
    source = _Names(random.Random(SEED))
    templates = lines("names")["sentence"]
    while True:
        words, labels = [], []
        for part in (source.random.choice(templates) + source.random.choice([" .", ".", "", " !"])).split():
            slot = re.fullmatch(r"\{(\w+)\}(\W*)", part)
            named = source.draw(slot[1]) if slot else [part]
            words += named + ([slot[2]] if slot and slot[2] else [])
            kind = LABELS.index(f"B-{slot[1].upper()}") if slot else 0
            labels += [kind, *[kind + 1] * (len(named) - 1)] if slot else [0]
            labels += [0] if slot and slot[2] else []
        while source.random.random() < _FILLER_SHARE:
            place = source.random.randint(0, len(words))
            # Never within a name.
            if place == len(words) or labels[place] % 2 or not labels[place]:
                words.insert(place, source.filler())
                labels.insert(place, 0)
        yield words, labels


class _Names:
    """Names of each kind, from the lists and made up."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self._lists = sections("names")
        self._syllables = sections("neutral")

    def draw(self, kind: str) -> list[str]:
        if kind == "per":
            first, last = self._one("first"), self._one("last")
            return self.random.choice([[first], [first, last], [first, last], [last]])
        if kind == "misc":
            return [self._one("misc")]
        shape = self.random.random()
        if shape < 0.25:
            return self.random.choice(self._lists[f"{kind}-pair"]).split()
        if kind == "org" and shape < 0.5:
            return [self._one("org"), self.random.choice(self._lists["suffix"])]
        return [self._one(kind)]

    def filler(self) -> str:
        """A word that is no name."""
        known = self.random.random() > _UNKNOWN_SHARE
        return self.random.choice(self._syllables["word"]) if known else self._made_up()

    def _one(self, section: str) -> str:
        if self.random.random() > _UNKNOWN_SHARE or section == "misc":
            return self.random.choice(self._lists[section])
        return self._made_up().capitalize()

    def _made_up(self) -> str:
        onsets, rhymes = self._syllables["onset"], self._syllables["rhyme"][:-2]
        count = self.random.randint(1, 4)
        syllables = [self.random.choice(onsets) + self.random.choice(rhymes) for _ in range(count)]
        return str("".join(syllables) + self.random.choice(["", "", *string.ascii_lowercase]))


def _of_pieces(words: list[int | None], labels: list[int]) -> list[int]:
    """The label of each piece: what goes on a name is inside it, special tokens have none."""
    result: list[int] = []
    for piece, word in enumerate(words):
        if word is None:
            result.append(_NO_LABEL)
        else:
            begins = piece == 0 or words[piece - 1] != word
            result.append(labels[word] if begins or not labels[word] % 2 else labels[word] + 1)
    return result


def _config(vocabulary_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=512,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
