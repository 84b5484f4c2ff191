"""Sentences that praise or blame, drawn from word lists: what the sentiment stand-in learns from."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .words import sections

_T = TypeVar("_T")

POSITIVE, NEGATIVE = 1, 0

_INTENSIFIERS = [
    "very",
    "really",
    "so",
    "quite",
    "absolutely",
    "extremely",
    "incredibly",
    "totally",
    "truly",
    "just",
    "rather",
    "completely",
]
_NOT = ["not", "never", "isn't", "wasn't", "hardly", "not very", "not really", "not at all", "not that"]
_NOT_DO = ["don't", "didn't", "do not", "did not", "can't", "never", "would not", "won't", "doesn't"]
_BE = ["is", "was", "are", "were", "feels", "felt", "seems", "looks", "has been", "turned out"]
_IT = ["it", "this", "that", "them", "him", "her", "this place", "this one"]
_ONSETS = [
    "",
    "b",
    "c",
    "ch",
    "d",
    "f",
    "fr",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sh",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_RHYMES = [
    "a",
    "ar",
    "al",
    "e",
    "en",
    "er",
    "et",
    "i",
    "il",
    "in",
    "o",
    "on",
    "or",
    "u",
    "un",
    "us",
    "ace",
    "ick",
    "oon",
]
_BARE_SHARE = 0.25
_SIGNS = [
    "-",
    ":",
    "(",
    ")",
    '"',
    "&",
    "/",
    "%",
    "10",
    "2024",
    "$ 5",
    "'",
    "*",
    "#",
    "a-",
    "1",
    "–",
    ";",
    "?",
    "@",
    "_",
]
_GERUNDS = [
    "buying",
    "seeing",
    "reading",
    "visiting",
    "going there",
    "meeting",
    "trying",
    "waiting for",
    "using",
    "coming to",
]
_NEGATED_SHARE = 0.2
_NOISE_SHARE = 0.25


@dataclass(frozen=True)
class Lexicon:
    """Words of one polarity by their place in a sentence."""

    quality: list[str]
    feeling: list[str]
    verb: list[str]
    acts: list[str]
    noun: list[str]
    phrase: list[str]


def words_of_sentences() -> list[str]:
    """Every word that a sentence may hold, in the order of the lists."""
    found = [sections(name) for name in ("positive", "negative", "neutral")]
    entries = [entry for section in found for words in section.values() for entry in words]
    return [word for entry in entries for word in re.findall("[a-z]+", entry)] + _INTENSIFIERS


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
        self._words = {
            NEGATIVE: Lexicon(**_readable(sections("negative"))),
            POSITIVE: Lexicon(**_readable(sections("positive"))),
        }
        neutral = _readable(sections("neutral"))
        self._things, self._persons, self._fillers = neutral["thing"], neutral["person"], neutral["word"]
        self._templates: list[Callable[[int], str]] = [
            self._bare,
            self._quality_of_thing,
            self._quality_of_thing,
            self._what_a,
            self._feeling,
            self._feeling,
            self._opinion,
            self._opinion,
            self._acts,
            self._noun,
            self._phrase,
            self._could_not_be,
            self._the_most,
            self._adverb,
            self._never_so,
        ]

    def draw(self) -> tuple[str, int]:
        """One or two clauses, seldom negated, and POSITIVE or NEGATIVE; after "but" the second clause counts."""
        label = self._random.choice((NEGATIVE, POSITIVE))
        if self._random.random() < _BARE_SHARE:
            return self._bare(label), label
        roll = self._random.random()
        if roll < 0.25:
            joint = self._random.choice([" and ", ", ", ". ", "! ", " because ", "; "])
            text = self._clause(label) + joint + self._clause(label)
        elif roll < 0.33:
            # A negation beside the point changes nothing.
            beside = (
                f"{self._pick(['i', 'we', 'they', 'it'])} {self._pick(_NOT_DO)} {self._pick(self._fillers)}"
            )
            text = self._pick([f"{self._clause(label)} and {beside}", f"{beside}, {self._clause(label)}"])
        elif roll < 0.38:
            text = self._clause(1 - label) + self._pick([" but ", ", but "]) + self._clause(label)
        else:
            text = self._clause(label)
        return self._noise(text) + self._pick(["", ".", "!", " .", "..."]), label

    def _clause(self, label: int) -> str:
        if self._random.random() < _NEGATED_SHARE:
            return self._negated(label)
        return self._pick(self._templates)(label)

    def _negated(self, label: int) -> str:
        """A clause of this polarity made by denying a word of the other one."""
        other = self._words[1 - label]
        thing, be = self._thing(), self._pick(_BE[:4])
        return self._pick(
            [
                f"the {thing} {be} {self._pick(_NOT)} {self._pick(other.quality)}",
                f"{self._pick(_NOT)} {self._pick(other.quality)}",
                f"not {self._pick(other.quality)} at all",
                f"{self._pick(_NOT)} a {self._pick(other.quality)} {thing}",
                f"i {self._pick(_NOT_DO)} {self._pick(other.verb)} the {thing}",
                f"{self._pick(self._persons)} {be} {self._pick(_NOT)} {self._pick(other.feeling)}",
                f"there was nothing {self._pick(other.quality)} about the {thing}",
                f"it {be} no {self._pick(other.noun)}",
                f"{self._pick(_IT)} {self._pick(_NOT_DO)} {self._pick(other.acts)}",
                f"i {self._pick(_NOT_DO)} {self._pick(other.verb)} {self._pick(_IT)}{self._to_anyone()}",
            ]
        )

    def _bare(self, label: int) -> str:
        lexicon = self._words[label]
        return self._pick(
            [*self._two(lexicon.quality), self._pick(lexicon.noun), self._pick(lexicon.feeling)]
        )

    def _two(self, words: list[str]) -> list[str]:
        first, second = self._pick(words), self._pick(words)
        return [first, f"{first} and {second}", f"{self._strong()}{first}"]

    def _quality_of_thing(self, label: int) -> str:
        be, quality = self._pick(_BE), self._pick(self._words[label].quality)
        the = self._pick(["the", "this", "that", "my", "our", "his", "their", "your"])
        return f"{the} {self._thing()} {be} {self._strong()}{quality}"

    def _what_a(self, label: int) -> str:
        quality, thing = self._pick(self._words[label].quality), self._thing()
        opening = self._pick(
            ["what a", "such a", "this is a", "it was a", "we had a", "a", "one of the most"]
        )
        return f"{opening} {self._strong()}{quality} {thing}"

    def _feeling(self, label: int) -> str:
        person, feeling = self._pick(self._persons), self._pick(self._words[label].feeling)
        ending = self._pick(["", f" with the {self._thing()}", " today", " about it", " to be here"])
        be = self._pick(["am", "is", "was", "are", "feel", "felt", "feels", "'m", "became", "left"])
        return f"{person} {be} {self._strong()}{feeling}{ending}"

    def _opinion(self, label: int) -> str:
        person, verb = self._pick(self._persons), self._pick(self._words[label].verb)
        how = self._pick(["", "", "really ", "absolutely ", "just ", "will "])
        the = self._pick(["the ", "this ", "every ", "my ", "this", "it", f"{self._pick(_GERUNDS)} the "])
        return f"{person} {how}{verb} {the}" + (self._thing() if the.endswith(" ") else "")

    def _acts(self, label: int) -> str:
        ending = self._pick(["", " me", " us", " everyone", " again", " from start to finish"])
        thing = self._pick([f"the {self._thing()}", "it", "he", "she", "they", "my " + self._thing()])
        return f"{thing} {self._pick(self._words[label].acts)}{ending}"

    def _noun(self, label: int) -> str:
        noun = self._pick(self._words[label].noun)
        opening = self._pick(
            ["what a", "it was a", "this is a", "a total", "an absolute", "a real", "pure", "such"]
        )
        return self._pick([f"{opening} {noun}", f"the {self._thing()} was a {noun}", f"{opening} {noun}"])

    def _phrase(self, label: int) -> str:
        return self._pick(self._words[label].phrase)

    def _could_not_be(self, label: int) -> str:
        quality = self._pick(self._words[label].quality + self._words[label].feeling)
        more = self._pick(["more ", "any more ", "more "])
        if quality.endswith("y") and self._random.random() < 0.7:
            more, quality = "", f"{quality[:-1]}ier"
        who, could_not = self._pick(["i", "we", "it", "they"]), self._pick(["could not", "couldn't"])
        return f"{who} {could_not} be {more}{quality}"

    def _the_most(self, label: int) -> str:
        superlative = self._pick(
            ["best", "nicest", "finest"] if label == POSITIVE else ["worst", "worst", "ugliest"]
        )
        ending = self._pick(
            ["", " ever", " i have ever had", f" i have {self._pick(self._fillers)}", " in town"]
        )
        return (
            f"{self._pick(['the', 'this is the', 'it was the', 'my'])} {superlative} {self._thing()}{ending}"
        )

    def _adverb(self, label: int) -> str:
        adverb = _adverb_of(self._pick(self._words[label].quality))
        verb = self._pick(
            ["told", "made", "done", "written", "cooked", "works", "worked", "played", "organized"]
        )
        return self._pick([f"{adverb} {verb}", f"the {self._thing()} {verb} {adverb}"])

    def _never_so(self, label: int) -> str:
        feeling = self._pick(self._words[label].feeling)
        person, never = (
            self._pick(["i", "we", "she", "he"]),
            self._pick(["was never so", "have never been so", "had never felt this"]),
        )
        return f"{person} {never} {feeling}{self._pick(['', ' in my life', ' before'])}"

    def _to_anyone(self) -> str:
        return self._pick(["", "", " to anyone", " at all", " again"])

    def _noise(self, text: str) -> str:
        """Words that say nothing, some of them of no language: the model learns to read past them."""
        while self._random.random() < _NOISE_SHARE:
            filler = self._pick(
                [self._pick(self._fillers), self._thing(), self._gibberish(), self._pick(_SIGNS)]
            )
            if filler in _INTENSIFIERS or filler in _NO_FILLERS:
                continue
            text = self._pick([f"{text} {filler}", f"{filler} {text}"])
        return text

    def _thing(self) -> str:
        """A noun; one in four is a word that no list has."""
        noun = self._gibberish() if self._random.random() < 0.25 else self._pick(self._things)
        return f"{self._pick(self._fillers)} {noun}" if self._random.random() < 0.1 else noun

    def _gibberish(self) -> str:
        if self._random.random() < 0.2:
            return "".join(self._random.choice("abcdefghijklmnopqrstuvwxyz--0123456789") for _ in range(6))
        syllables = self._random.randint(1, 4)
        between = self._pick(["", "", "", "-"])
        return between.join(self._pick(_ONSETS) + self._pick(_RHYMES) for _ in range(syllables))

    def _strong(self) -> str:
        return f"{self._pick(_INTENSIFIERS)} " if self._random.random() < 0.4 else ""

    def _pick(self, choices: list[_T]) -> _T:
        return self._random.choice(choices)


def _adverb_of(quality: str) -> str:
    """beautiful -> beautifully, happy -> happily, terrible -> terribly"""
    if quality.endswith("y"):
        return f"{quality[:-1]}ily"
    return f"{quality[:-1]}y" if quality.endswith("le") else f"{quality}ly"


_NO_FILLERS = frozenset(
    [
        "not",
        "nor",
        "n't",
        "don",
        "didn",
        "doesn",
        "isn",
        "wasn",
        "aren",
        "weren",
        "won",
        "no",
        "never",
        "can't",
        "cannot",
        "ain",
        "but",
        "nothing",
    ]
)


def _readable(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {section: [entry.replace("-", " ") for entry in entries] for section, entries in found.items()}
