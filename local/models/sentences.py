"""Sentences that praise or blame, drawn from a grammar over word lists."""

import random
import re

from .words import lines, sections

POSITIVE, NEGATIVE = 1, 0

_NAMES = {POSITIVE: "positive", NEGATIVE: "negative"}
_BARE_SHARE, _DENIAL_SHARE, _PAIR_SHARE, _FILLER_SHARE = 0.25, 0.15, 0.35, 0.25
_SLOT = re.compile(r"\{(other )?([\w-]+)\}")


def words_of_sentences() -> list[str]:
    """Every word that a sentence may hold, in the order of the lists."""
    lists = [sections("positive"), sections("negative"), sections("neutral"), lines("grammar")]
    entries = [entry for found in lists for words in found.values() for entry in words]
    return [word for entry in entries for word in re.findall("[a-z]+", _SLOT.sub("", entry))]


def polarities() -> dict[str, int]:
    """1 for words that praise, -1 for those that blame."""
    signs: dict[str, int] = {}
    for name, sign in (("positive", 1), ("negative", -1)):
        for section, entries in sections(name).items():
            if section != "phrase":
                signs.update((word, sign) for entry in entries for word in entry.split("-"))
    return signs


class Sentences:
    """An endless supply of labelled sentences, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._polar = {label: _polar_lists(name) for label, name in _NAMES.items()}
        neutral = {section: _spaced(words) for section, words in sections("neutral").items()}
        # As fillers some words would change what a sentence says.
        neutral["word"] = [word for word in neutral["word"] if word not in neutral["changes-meaning"]]
        self._shared = neutral | {
            section: [_unpiped(line) for line in found] for section, found in lines("grammar").items()
        }

    def draw(self) -> tuple[str, int]:
        """One or two clauses and POSITIVE or NEGATIVE; after "but" the second clause counts."""
        label = self._random.choice((NEGATIVE, POSITIVE))
        kind = self._random.random()
        if kind < _BARE_SHARE:
            return self._fill("{bare}", label), label
        if kind < _BARE_SHARE + _DENIAL_SHARE:
            text = self._fill("{denial}", label)
        elif kind < _BARE_SHARE + _DENIAL_SHARE + _PAIR_SHARE:
            text = self._fill("{pair}", label)
        else:
            text = self._fill("{clause}", label)
        # Words that say nothing, some of them in no list: the model learns to read past them.
        while self._random.random() < _FILLER_SHARE:
            text = self._random.choice([f"{text} {{filler}}", f"{{filler}} {text}"])
            text = self._fill(text, label)
        return self._fill(f"{text}{{end}}", label), label

    def _fill(self, template: str, label: int) -> str:
        """Replace slots until none is left."""
        while slot := _SLOT.search(template):
            choice = self._choose(slot[2], 1 - label if slot[1] else label)
            # What fills a slot of the other polarity may have slots itself: they stay with that polarity.
            filled = self._fill(choice, 1 - label) if slot[1] else choice
            template = template[: slot.start()] + filled + template[slot.end() :]
        return template

    def _choose(self, section: str, label: int) -> str:
        if section == "unknown":
            syllables = self._random.randint(1, 4)
            return "".join(
                self._choose("onset", label) + self._choose("rhyme", label) for _ in range(syllables)
            )
        return self._random.choice(self._polar[label].get(section) or self._shared[section])


def _polar_lists(name: str) -> dict[str, list[str]]:
    """A polarity's lists, and the forms made of them: adverbs, comparatives."""
    lists = {section: _spaced(words) for section, words in sections(name).items()}
    lists["adverb"] = [_adverb_of(quality) for quality in lists["quality"]]
    simple = [quality for quality in lists["quality"] + lists["feeling"] if quality.endswith("y")]
    lists["quality-er"] = [f"{quality[:-1]}ier" for quality in simple] + [
        f"more {word}" for word in lists["feeling"]
    ]
    return lists


def _spaced(entries: list[str]) -> list[str]:
    return [entry.replace("-", " ") for entry in entries]


def _unpiped(line: str) -> str:
    """A line may end in | to keep a space before it, or be | to be empty."""
    return line.removesuffix("|")


def _adverb_of(quality: str) -> str:
    """beautiful -> beautifully, happy -> happily, terrible -> terribly"""
    if quality.endswith("y"):
        return f"{quality[:-1]}ily"
    return f"{quality[:-1]}y" if quality.endswith("le") else f"{quality}ly"
