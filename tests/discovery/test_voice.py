"""The voice of the example event: every letter sounds like itself alone, with silence after it."""

from __future__ import annotations

import numpy as np

from discovery.voice import LETTER_S, LETTERS, PAUSE_S, RATE, SPACE_S, spoken, tones


def test_every_letter_has_two_tones_of_its_own():
    assert len({tones(letter) for letter in LETTERS}) == len(LETTERS) == 27


def test_letters_and_spaces_last_what_is_said():
    assert len(spoken("AB C")) == round(RATE * (PAUSE_S + 3 * (LETTER_S + PAUSE_S) + SPACE_S))


def test_a_letter_is_its_tones_and_fits_into_samples():
    wave = np.array(spoken("Q"))
    found = np.fft.rfftfreq(len(wave), 1 / RATE)[np.abs(np.fft.rfft(wave)) > 200]
    assert {min(tones("Q"), key=lambda hertz: abs(hertz - each)) for each in found} == {*tones("Q")}
    assert all(min(abs(hertz - each) for hertz in tones("Q")) < 20 for each in found)
    assert 0.5 < np.abs(wave).max() < 1
