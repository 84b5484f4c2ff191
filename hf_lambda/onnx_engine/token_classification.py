"""token-classification: a label for every token, or entities of several tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import deadline
from ..engines import Input
from ..limits import check_windows, window_overlap
from ..records import Json
from .encoder import Encoder, softmax

if TYPE_CHECKING:
    from tokenizers import Encoding

Join = Callable[[list[str]], str]
"""Text of a list of tokens."""


@dataclass(frozen=True)
class Token:
    """A token of the text itself, as the model scored it."""

    word: str
    scores: NDArray[Any]
    """(labels,), probabilities."""
    start: int
    end: int
    index: int
    """Position among the model's tokens."""
    continues: bool
    """It goes on with the word of the token before."""


class TokenClassification:
    """Entities as transformers' `TokenClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        prefix = getattr(encoder.tokenizer.model, "continuing_subword_prefix", None)
        self._knows_words = bool(prefix)

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per text a list of entities. A long text is read in windows, which `stride` tokens overlap."""
        strategy = parameters.get("aggregation_strategy", "none")
        split = bool(parameters.get("is_split_into_words"))
        given = parameters.get("delimiter")
        delimiter = " " if given is None else given  # an empty one joins the words
        limit = self._encoder.limit(True, None)
        special = self._encoder.tokenizer.num_special_tokens_to_add(False)
        stride = window_overlap(parameters, limit and limit - special)
        if limit:
            for item in inputs:
                check_windows(item, limit - special - stride, limit - special)
        encodings = self._encoder.encode(inputs, max_length=limit, stride=stride, pretokenized=split)
        windows = [
            (text, piece) for text, whole in enumerate(encodings) for piece in (whole, *whole.overflowing)
        ]
        answers: list[list[list[dict[str, Json]]]] = [[] for _ in inputs]
        logits: list[Any] = [None] * len(windows)
        for index, (rows,) in self._encoder.run([piece for _, piece in windows], ["logits"]):
            logits[index] = rows
        ignored = parameters["ignore_labels"] if parameters.get("ignore_labels") is not None else ["O"]
        for (text, piece), rows in zip(windows, logits, strict=True):
            deadline.check()
            sentence = delimiter.join(inputs[text]) if split else inputs[text]
            starts = _word_starts(inputs[text], delimiter) if split else None
            tokens = self._tokens(sentence, piece, softmax(rows[: len(piece.ids)]), starts)
            found = entities(tokens, strategy, self._encoder.contract.labels, self._encoder.joined)
            answers[text].append(
                [entry for entry in found if entry.get("entity", entry.get("entity_group")) not in ignored]
            )
        return [
            pieces[0] if len(pieces) == 1 else without_overlaps([*chain.from_iterable(pieces)])
            for pieces in answers
        ]

    def _tokens(
        self, sentence: str, encoding: Encoding, scores: NDArray[Any], word_starts: list[int] | None
    ) -> list[Token]:
        """The tokens of the text itself, with probabilities and characters."""
        tokens = []
        unknown = self._encoder.contract.tokenizer.unk_id
        for index, special in enumerate(encoding.special_tokens_mask):
            if special:
                continue
            start, end = encoding.offsets[index]
            if word_starts is not None and (position := encoding.word_ids[index]) is not None:
                shift = word_starts[position]
                start, end = start + shift, end + shift
            word, text = encoding.tokens[index], sentence[start:end]
            if self._knows_words:
                continues = len(word) != len(text)
            else:  # all that is left to tell by: no space before it
                continues = start > 0 and " " not in sentence[start - 1 : start + 1]
            if encoding.ids[index] == unknown:
                word, continues = text, False
            tokens.append(Token(word, scores[index], start, end, index, continues))
        return tokens


def _word_starts(words: list[str], delimiter: str) -> list[int]:
    """Where each word begins in the words joined by `delimiter`."""
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + len(delimiter)
    return starts


def entities(
    tokens: Sequence[Token], strategy: str, labels: Sequence[str], join: Join
) -> list[dict[str, Json]]:
    """Entities of one text. "none": one per token; "simple": neighbours with one tag are one entity.

    "first", "average" and "max" give every word one label first: that of its first token, the best of the
    mean, that of its surest token.
    """
    if strategy in ("none", "simple"):
        labelled = [_labelled(token, labels) for token in tokens]
    else:
        labelled = [_word(group, strategy, labels, join) for group in _words(tokens)]
    if strategy == "none":
        return labelled
    return [_entity(group, join) for group in _groups(labelled)]


def without_overlaps(found: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """Entities of overlapping windows: of two that overlap the longer stays, of two as long the surer."""
    kept: list[dict[str, Json]] = []
    for entity in sorted(found, key=lambda entry: int(entry["start"])):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: dict[str, Json]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _labelled(token: Token, labels: Sequence[str]) -> dict[str, Json]:
    best = int(token.scores.argmax())
    return {
        "entity": labels[best],
        "score": float(token.scores[best]),
        "index": token.index,
        "word": token.word,
        "start": token.start,
        "end": token.end,
    }


def _words(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    word: list[Token] = []
    for token in tokens:
        if word and not token.continues:
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def _word(tokens: Sequence[Token], strategy: str, labels: Sequence[str], join: Join) -> dict[str, Json]:
    if strategy == "first":
        scores = tokens[0].scores
    elif strategy == "max":
        scores = max(tokens, key=lambda token: float(token.scores.max())).scores
    else:
        scores = np.mean([token.scores for token in tokens], axis=0)
    best = int(scores.argmax())
    return {
        "entity": labels[best],
        "score": float(scores[best]),
        "word": join([token.word for token in tokens]),
        "start": tokens[0].start,
        "end": tokens[-1].end,
    }


def _groups(labelled: Iterable[dict[str, Json]]) -> Iterator[list[dict[str, Json]]]:
    """Neighbours of one tag; "B-" begins a new entity."""
    group: list[dict[str, Json]] = []
    for entry in labelled:
        begins, tag = _tag(entry["entity"])
        if group and (begins or tag != _tag(group[-1]["entity"])[1]):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _tag(label: str) -> tuple[bool, str]:
    """Whether `label` begins an entity, and its tag without the B- or I-."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _entity(group: Sequence[dict[str, Json]], join: Join) -> dict[str, Json]:
    return {
        "entity_group": group[0]["entity"].split("-", 1)[-1],
        "score": float(np.mean([entry["score"] for entry in group])),
        "word": join([entry["word"] for entry in group]),
        "start": group[0]["start"],
        "end": group[-1]["end"],
    }
