"""From labelled tokens to entities: the aggregation strategies of token classification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

STRATEGIES = ("none", "simple", "first", "average", "max")

Join = Callable[[list[str]], str]
"""Text of a list of tokens."""


@dataclass(frozen=True)
class Token:
    word: str
    scores: Any
    """(labels,), probabilities."""
    start: int
    end: int
    index: int
    """Position among the model's tokens."""
    continues: bool
    """It goes on with the word of the token before."""


def entities(
    tokens: Sequence[Token], strategy: str, labels: Sequence[str], join: Join
) -> list[dict[str, Any]]:
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


def without_overlaps(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entities of overlapping windows: of two that overlap the longer stays, of two as long the surer."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(found, key=lambda entry: int(entry["start"])):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: dict[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _labelled(token: Token, labels: Sequence[str]) -> dict[str, Any]:
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


def _word(tokens: Sequence[Token], strategy: str, labels: Sequence[str], join: Join) -> dict[str, Any]:
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


def _groups(labelled: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Neighbours of one tag; "B-" begins a new entity."""
    group: list[dict[str, Any]] = []
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


def _entity(group: Sequence[dict[str, Any]], join: Join) -> dict[str, Any]:
    return {
        "entity_group": group[0]["entity"].split("-", 1)[-1],
        "score": float(np.mean([entry["score"] for entry in group])),
        "word": join([entry["word"] for entry in group]),
        "start": group[0]["start"],
        "end": group[-1]["end"],
    }
