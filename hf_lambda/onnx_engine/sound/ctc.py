"""automatic-speech-recognition by networks that say a token for every few milliseconds (CTC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...errors import BadRequest, Unprocessable
from ...media.samples import heard
from ...records import Json
from ..tokenizer import cleaned_up
from .contract import CtcRules
from .model import SoundModel


@dataclass(frozen=True)
class Piece:
    """Text of the tokens from `start` to before `end`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Chunk:
    """A stretch of samples, with how many of them at its ends the neighbours answer for."""

    samples: NDArray[Any]
    left: int = 0
    right: int = 0
    is_whole: bool = True
    """Whether nobody asked for stretches."""


class CtcRecognition:
    def __init__(self, model: SoundModel, rules: CtcRules) -> None:
        self._model, self._rules = model, rules

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        check_ctc(parameters)
        return [self._answer(item, parameters) for item in inputs]

    def _answer(self, item: Input, parameters: Mapping[str, Json]) -> Json:
        rate, rules = self._model.contract.recipe.rate, self._rules
        wave = heard(item, rate)
        parts = []
        for chunk in chunks(wave, rate, rules.stride, parameters):
            tokens = self._model.run(chunk.samples).argmax(axis=-1)
            parts.append(tokens if chunk.is_whole else tokens[_share(chunk, rules.stride)])
        pieces = letters(np.concatenate(parts).tolist(), rules)
        answer: dict[str, Json] = {"text": text_of(pieces, rules)}
        if wanted := parameters.get("return_timestamps"):
            found = words(pieces, rules.space) if wanted == "word" else pieces
            answer["chunks"] = [
                {
                    "text": piece.text,
                    "timestamp": [piece.start * rules.stride / rate, piece.end * rules.stride / rate],
                }
                for piece in found
            ]
        return answer


def check_ctc(parameters: Mapping[str, Json]) -> None:
    """Raises Unprocessable for what such a network cannot do, BadRequest for a prompt."""
    wanted = parameters.get("return_timestamps")
    if wanted is not None and wanted not in ("char", "word"):
        raise Unprocessable(
            "return_timestamps",
            'CTC can either predict character level timestamps ("char"), or word level timestamps ("word")',
        )
    if parameters.get("return_language") is not None:
        raise Unprocessable("return_language", "only Whisper can return the language")
    if parameters.get("prompt"):
        raise BadRequest("prompt", "no prompt: this model takes none", "one")


def chunks(wave: NDArray[Any], rate: int, align: int, parameters: Mapping[str, Json]) -> Iterator[Chunk]:
    """`wave` as a whole, or in the stretches of `chunk_length_s` that overlap by `stride_length_s`.

    align: samples that a stretch is a multiple of. Raises Unprocessable for stretches that get nowhere.
    """
    seconds = parameters.get("chunk_length_s")
    if not seconds:
        yield Chunk(wave)
        return
    stride = parameters.get("stride_length_s")
    stride = seconds / 6 if stride is None else stride
    left_s, right_s = (stride, stride) if isinstance(stride, int | float) else stride
    size, left, right = (round(each * rate / align) * align for each in (seconds, left_s, right_s))
    step = size - left - right
    if step < 1:
        raise Unprocessable("stride_length_s", "chunk_length_s has to be larger than both strides together")
    for start in range(0, len(wave), step):
        part = wave[start : start + size]
        is_last = start + size >= len(wave)
        before = left if start else 0
        if len(part) > before:
            yield Chunk(part, before, 0 if is_last else right, is_whole=False)
        if is_last:
            return


def letters(ids: Sequence[int], rules: CtcRules) -> list[Piece]:
    """What is said: equal tokens in a row are one, the blank none."""
    pieces, at = [], 0
    for token, run in groupby(rules.tokens[index] for index in ids):
        count = len(list(run))
        if token != rules.blank:
            pieces.append(Piece(rules.space if token == rules.delimiter else token, at, at + count))
        at += count
    return pieces


def text_of(pieces: Sequence[Piece], rules: CtcRules) -> str:
    text = "".join(piece.text for piece in pieces).strip()
    text = text.lower() if rules.lower else text
    return cleaned_up(text) if rules.cleanup else text


def words(pieces: Sequence[Piece], space: str) -> list[Piece]:
    """Letters joined up to the next space."""
    return [
        Piece("".join(piece.text for piece in word), word[0].start, word[-1].end)
        for is_space, group in groupby(pieces, lambda piece: piece.text == space)
        if not is_space and (word := list(group))
    ]


def _share(chunk: Chunk, stride: int) -> slice:
    """The tokens of a chunk that its neighbours do not answer for."""
    samples = len(chunk.samples)
    tokens = round(samples / stride)
    return slice(round(chunk.left / samples * tokens), tokens - round(chunk.right / samples * tokens))
