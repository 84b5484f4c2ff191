"""A voice that spells: two tones for every letter, as the keys of a telephone have. Standard library alone.

Nobody's ear takes it for speech; the stand-in for a speech model writes down what it spells.
"""

from __future__ import annotations

import math

RATE = 16_000
LETTERS = "ETAONIHSRDLUMWCFGYPBVKXJQZ'"
LOW_HZ = (500, 700, 900, 1100, 1300)
HIGH_HZ = (1700, 2100, 2500, 2900, 3300, 3700)
LETTER_S, PAUSE_S, SPACE_S = 0.08, 0.06, 0.12
"""A letter, the silence after it, and the silence between words that comes on top."""
_EDGE_S = 0.01
"""A tone rises and falls that slowly: no clicks."""


def tones(letter: str) -> tuple[int, int]:
    """Hertz of both tones of one of LETTERS."""
    number = LETTERS.index(letter)
    return LOW_HZ[number % len(LOW_HZ)], HIGH_HZ[number // len(LOW_HZ)]


def spoken(text: str) -> list[float]:
    """Samples from -1 to 1, RATE a second, of `text`: capitals of LETTERS and single spaces."""
    silence = [0.0] * round(PAUSE_S * RATE)
    between_words = [0.0] * round(SPACE_S * RATE)
    samples = list(silence)
    for letter in text:
        samples += between_words if letter == " " else [*_letter(letter), *silence]
    return samples


def _letter(letter: str) -> list[float]:
    count, edge = round(LETTER_S * RATE), round(_EDGE_S * RATE)
    turns = [2 * math.pi * hertz / RATE for hertz in tones(letter)]
    return [
        min(1.0, (at + 0.5) / edge, (count - at - 0.5) / edge)
        * 0.4
        * sum(math.sin(turn * at) for turn in turns)
        for at in range(count)
    ]
