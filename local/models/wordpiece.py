"""WordPiece vocabularies over word lists: whole words, their stems and the endings of English."""

import string
from collections.abc import Iterable

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_ENDINGS = (
    *(
        "s",
        "es",
        "ed",
        "d",
        "ing",
        "ly",
        "er",
        "r",
        "est",
        "st",
        "ness",
        "ful",
        "fully",
        "less",
        "ment",
        "able",
    ),
    *(
        "ible",
        "y",
        "ily",
        "ies",
        "ier",
        "iest",
        "iness",
        "tion",
        "ion",
        "ous",
        "al",
        "ity",
        "ive",
        "ish",
        "ism",
    ),
)


def wordpiece_vocabulary(words: Iterable[str]) -> list[str]:
    """Special tokens, single characters, endings, then the words in order of their first appearance.

    Stems that lose an e or a y before an ending ("lov" of "love") are words of their own, so inflected
    forms share a piece with the form that a list holds. There are no letters to spell with: a word that
    is neither listed nor inflected is one [UNK], which a tiny model reads past more easily than letters.
    """
    pieces = [*SPECIAL, *string.punctuation, *"–—’‘“”…€£", *string.ascii_lowercase, *string.digits]
    pieces += [f"##{ending}" for ending in (*_ENDINGS, *string.digits)]
    for word in words:
        pieces += stems(word)
    return list(dict.fromkeys(pieces))


def stems(word: str) -> list[str]:
    """The word, and its stem where an ending changes it: love, lov; happy, happi."""
    if len(word) > 4 and word[-1] == "e":
        return [word, word[:-1]]
    return [word, f"{word[:-1]}i"] if len(word) > 4 and word[-1] == "y" else [word]
