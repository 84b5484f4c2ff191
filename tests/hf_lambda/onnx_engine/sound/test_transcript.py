"""Joining what Whisper heard: as transformers' `_decode_asr`, over generated tokens."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from hf_lambda.onnx_engine.sound.contract import WhisperRules
from hf_lambda.onnx_engine.sound.ctc import words
from hf_lambda.onnx_engine.sound.transcript import Heard, Overlap, joined, transcript
from tests.tiny_media import _whisper_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    _whisper_tokenizer().save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def rules_of(tokenizer: Any) -> WhisperRules:
    special = tokenizer.all_special_ids
    names = {token: tokenizer.decode([token])[2:-2] for token in special}
    return WhisperRules(
        generation={},
        positions=40,
        vocabulary=400,
        frames=100,
        pad_id=300,
        first_timestamp=311,
        previous_id=308,
        start_id=301,
        special_ids=tuple(special),
        languages={},
        spoken={token: LANGUAGES[name] for token, name in names.items() if name in LANGUAGES},
        cleanup=False,
        seconds=0.02,
    )


def drawn(draw: random.Random) -> list[int]:
    """Tokens as a model might write them, and as none would."""
    tokens = []
    if draw.random() < 0.3:
        tokens += [308, *draw.choices(range(50), k=2), 301][: draw.choice([3, 4])]
    at = 311
    for _ in range(draw.randrange(12)):
        kind = draw.random()
        if kind < 0.35:
            at = draw.choice([at, min(361, at + draw.randrange(12)), draw.randrange(311, 361)])
            tokens += [at] * draw.choice([1, 1, 2])
        elif kind < 0.45:
            tokens.append(draw.choice([302, 303, 304, 306, 300]))
        else:
            tokens += draw.choices(range(33, 45), k=draw.randrange(1, 5))
    return tokens


@pytest.mark.parametrize("seed", range(10))
def test_what_was_heard_is_joined_as_transformers_joins_it(tokenizer, seed):
    for each in range(20):
        joined_as_transformers(tokenizer, random.Random(20 * seed + each))


def joined_as_transformers(tokenizer: Any, draw: random.Random) -> None:
    parts, theirs = [], []
    count = draw.choice([1, 1, 2, 3, 4])
    for place in range(count):
        tokens = drawn(draw)
        output: dict[str, Any] = {"tokens": torch.tensor([tokens])}
        overlap = None
        if count > 1:
            overlap = Overlap(0.9, 0.2 if place else 0.0, 0.1 if place < count - 1 else 0.0)
            output["stride"] = (overlap.length, overlap.left, overlap.right)
        parts.append(Heard(tokens, overlap))
        theirs.append(output)
    timestamps, language = draw.random() < 0.6, draw.random() < 0.5
    text, optional = tokenizer._decode_asr(
        theirs, return_timestamps=timestamps or None, return_language=language or None, time_precision=0.02
    )
    got = transcript(
        parts, rules_of(tokenizer), tokenizer.backend_tokenizer, timestamps=timestamps, language=language
    )
    for chunk in got.get("chunks", []):
        if "timestamp" in chunk:
            chunk["timestamp"] = tuple(chunk["timestamp"])
    assert got == {"text": text, **optional}


def test_sequences_go_over_where_they_match():
    assert joined([[1, 2, 3, 4], [3, 4, 5, 6]]) == [1, 2, 3, 4, 5, 6]
    assert joined([[1, 2], [7, 8]]) == [1, 2, 7, 8]
    assert joined([[1, 2]]) == [1, 2]


def test_no_letters_are_no_words():
    assert words([], " ") == []
