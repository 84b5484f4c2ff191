"""zero-shot-image-classification: which of the request's labels fits the picture (CLIP, SigLIP)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines import Input
from ...errors import BadRequest
from ...media.limits import label_too_long
from ...records import Json
from ..encoder import sigmoid, softmax
from ..session import open_session
from ..tokenizer import load_tokenizer
from .contract import TextTower
from .model import VisionModel

TEMPLATE = "This is a photo of {}."
_KEPT = 2048
"""Embeddings of labels that an instance remembers: requests bring the same ones over and over."""


class LabelEncoder:
    """Texts as vectors of length 1."""

    def __init__(self, tower: TextTower, prepared: Path) -> None:
        self._tower = tower
        self._tokenizer = load_tokenizer(prepared)
        self._session = open_session(prepared / "text.onnx")
        self._known: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> NDArray[Any]:
        """(texts, dimensions). Raises Unprocessable for a text that is longer than the model reads."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._embedded(missing), strict=True))
        result = np.stack([self._known[text] for text in texts])
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return result

    def _embedded(self, texts: list[str]) -> NDArray[Any]:
        tower = self._tower
        if tower.truncate:
            self._tokenizer.enable_truncation(tower.max_length)
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        longest = max(map(len, rows))
        if longest > tower.max_length:
            raise label_too_long(longest, tower.max_length)
        width = tower.width or longest
        ids, mask = (
            np.full((len(rows), width), tower.pad_id, np.int64),
            np.zeros((len(rows), width), np.int64),
        )
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        feeds = {"input_ids": ids, "attention_mask": mask}
        known: NDArray[Any] = self._session.run(
            ["text_embeds"], {name: feeds[name] for name in tower.inputs}
        )[0]
        return known


class ZeroShotImageClassification:
    def __init__(self, model: VisionModel, labels: LabelEncoder) -> None:
        self._model, self._labels = model, labels

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        """Per image `[{"score", "label"}, ...]`, best first."""
        labels = labels_of(parameters)
        template = parameters.get("hypothesis_template", TEMPLATE)
        texts = self._labels([template.format(label) for label in labels])
        tower = self._model.contract.text
        assert tower is not None
        answers = []
        for _, (embedding,) in self._model.run(inputs):
            scores = scored(embedding, texts, tower)
            ranked = sorted(zip(scores.tolist(), labels, strict=True), key=lambda pair: -pair[0])
            answers.append([{"score": score, "label": label} for score, label in ranked])
        return answers


def scored(image: NDArray[Any], texts: NDArray[Any], tower: TextTower) -> NDArray[Any]:
    """(texts,): the share of each text (CLIP), or how likely each is by itself (SigLIP)."""
    logits = texts @ image * np.float32(tower.scale) + np.float32(tower.bias)
    return softmax(logits) if tower.rule == "softmax" else sigmoid(logits)


def labels_of(parameters: Mapping[str, Json]) -> list[str]:
    labels = parameters.get("candidate_labels")
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",")]
    if not labels:
        raise BadRequest("candidate_labels", "an array of labels", "nothing")
    return list(labels)
