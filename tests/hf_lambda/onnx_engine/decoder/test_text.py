"""Text comes in whole characters, and never holds what may still become a stop text."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from hf_lambda.onnx_engine.decoder.text import Text

SENTENCE = "Die Straße ist 東京 😀 — naïve… END of it, ENDE!"


@pytest.fixture(scope="module")
def tokenizer():
    """Every byte is a token: characters come in up to four pieces."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def _pieces(tokenizer, text, stop=()):
    shown = Text(tokenizer, stop)
    pieces = []
    for token in tokenizer.encode(text).ids:
        pieces.append(shown.add(token))
        if shown.stopped:
            break
    return [*pieces, shown.end()], shown.stopped


def test_pieces_are_whole_characters_and_make_up_the_text(tokenizer):
    pieces, stopped = _pieces(tokenizer, SENTENCE)
    assert "".join(pieces) == SENTENCE
    assert not stopped
    assert "�" not in "".join(pieces)
    assert pieces.count("😀") == 1


def test_bytes_that_never_become_a_character_are_shown_at_the_end_as_the_tokenizer_shows_them(tokenizer):
    ids = tokenizer.encode("ab😀").ids[:-1]
    text = Text(tokenizer)
    pieces = [text.add(token) for token in ids]
    assert "".join(pieces) == "ab"
    assert "ab" + text.end() == tokenizer.decode(ids)


def test_special_tokens_are_not_shown(tokenizer):
    text = Text(tokenizer)
    assert text.add(tokenizer.token_to_id("<end>")) + text.end() == ""


@pytest.mark.parametrize(
    ("stop", "shown"),
    [
        (["END"], "Die Straße ist 東京 😀 — naïve… "),
        (["ENDE!"], "Die Straße ist 東京 😀 — naïve… END of it, "),
        (["END of them", "it,"], "Die Straße ist 東京 😀 — naïve… END of "),
        (["京"], "Die Straße ist 東"),
        (["D"], ""),
        (["nowhere"], SENTENCE),
    ],
)
def test_a_stop_text_ends_what_is_shown_before_it(tokenizer, stop, shown):
    pieces, stopped = _pieces(tokenizer, SENTENCE, stop)
    assert "".join(pieces) == shown
    assert stopped == (shown != SENTENCE)


def test_no_piece_shows_the_beginning_of_a_stop_text_that_comes(tokenizer):
    seen = ""
    text = Text(tokenizer, ["END of it"])
    for token in tokenizer.encode(SENTENCE).ids:
        seen += text.add(token)
        assert "E" not in seen.removeprefix("Die")
        if text.stopped:
            break
    assert text.end() == ""


def test_random_texts_and_stops_come_out_as_cut_at_the_first_stop(tokenizer):
    for case in range(300):
        choice = random.Random(case)
        text = "".join(choice.choice("abé ") for _ in range(choice.randint(0, 30)))
        stops = [
            "".join(choice.choice("abé ") for _ in range(choice.randint(1, 4)))
            for _ in range(choice.randint(0, 3))
        ]
        pieces, stopped = _pieces(tokenizer, text, stops)
        # The first stop to be complete ends the text, at the place where it begins.
        ends = {text.find(stop) + len(stop) for stop in stops if stop in text}
        first = min(ends, default=None)
        wanted = text
        if first is not None:
            wanted = text[: min(text.find(stop) for stop in stops if stop in text[:first])]
        assert ("".join(pieces), stopped) == (wanted, first is not None), (text, stops)
