"""A byte-level BPE tokenizer, as BART has it, over the word lists."""

import re
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

from .repository import write_json
from .words import sections

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SPACE, NEWLINE = "Ġ", "Ċ"  # as byte-level BPE spells them

_PIECES = [*"abcdefghijklmnopqrstuvwxyz", "ing", "ed", "ly", "er", "es", "ness", "ment", "tion"]


def write_tokenizer(folder: Path, *lists: str) -> list[str]:
    """Write vocab.json and merges.txt with the words of these lists whole; return the tokens by number."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        _texts(lists), vocab_size=20_000, min_frequency=1, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.save_model(str(folder))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=lambda token: vocabulary[token])


def _texts(lists: tuple[str, ...]) -> list[str]:
    """Each word as it stands within a text; names also as they begin one, common words also capitalised."""
    texts: list[str] = []
    for name in lists:
        for section, entries in sections(name).items():
            if section == "mark":
                texts += entries
                continue
            words = [word for entry in entries for word in re.split(r"[-\s]", entry)]
            texts += words if section == "name" else []
            texts += [f" {word}" for word in words]
            texts += [f" {word.capitalize()}" for word in words if (name, section) == ("neutral", "word")]
    # Numbers whole: prices spelt by digits would soon repeat three tokens, which generation forbids.
    numbers = [f"{space}{number}" for number in range(100) for space in ("", " ")]
    return list(dict.fromkeys([*texts, *numbers, *_PIECES]))
