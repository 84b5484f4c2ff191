"""zero-shot-classification: every label becomes a hypothesis, the model says which ones the text entails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadRequest, Unprocessable
from ..parameters import parameters_of
from .encoder import Encoder
from .parameters import merged
from .scores import softmax

_PARAMETERS = parameters_of("zero-shot-classification")
_TEMPLATE = "This example is {}."


class ZeroShotClassification:
    """Scores as transformers' `ZeroShotClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder, options: Mapping[str, Any]) -> None:
        self._encoder, self._options = encoder, options

    def __call__(self, inputs: list[str], **parameters: Any) -> list[Any]:
        """Per text `{"sequence", "labels", "scores"}`, best label first. All pairs run as one batch."""
        chosen = merged(self._options, parameters, _PARAMETERS)
        labels = _labels(chosen.get("candidate_labels"))
        hypotheses = _hypotheses(chosen.get("hypothesis_template") or _TEMPLATE, labels)
        pairs = [(text, hypothesis) for text in inputs for hypothesis in hypotheses]
        encodings = self._encodings(pairs)
        logits: list[Any] = [None] * len(pairs)
        for index, (row,) in self._encoder.run(encodings, ["logits"]):
            logits[index] = row
        size = len(labels)
        return [
            self._answer(
                text, labels, np.stack(logits[start : start + size]), bool(chosen.get("multi_label"))
            )
            for text, start in zip(inputs, range(0, len(pairs), size), strict=True)
        ]

    def _encodings(self, pairs: list[tuple[str, str]]) -> list[Any]:
        """Texts are cut, hypotheses never: beside one that leaves no room a text stays whole."""
        limit = self._encoder.limit(True, None)
        try:
            return self._encoder.encode(pairs, max_length=limit, strategy="only_first")
        except Unprocessable:
            return [self._encoding(pair, limit) for pair in pairs]

    def _encoding(self, pair: tuple[str, str], limit: int | None) -> Any:
        try:
            return self._encoder.encode([pair], max_length=limit, strategy="only_first")[0]
        except Unprocessable:
            return self._encoder.encode([pair])[0]

    def _answer(self, text: str, labels: list[str], logits: Any, multi_label: bool) -> dict[str, Any]:
        """logits: labels x outputs of the model."""
        entailment = self._encoder.contract.entailment_id
        if multi_label or len(labels) == 1:
            contradiction = -1 if entailment == 0 else 0
            scores = softmax(logits[:, [contradiction, entailment]])[:, 1]
        else:
            scores = softmax(logits[:, entailment])
        best_first = scores.argsort()[::-1]
        return {
            "sequence": text,
            "labels": [labels[index] for index in best_first],
            "scores": [float(scores[index]) for index in best_first],
        }


def _labels(given: Any) -> list[str]:
    """A list, or one string of labels with commas between them."""
    labels = [label.strip() for label in given.split(",")] if isinstance(given, str) else list(given or [])
    labels = [label for label in labels if label]
    if not labels or not all(isinstance(label, str) for label in labels):
        raise BadRequest("candidate_labels", "an array of labels", "nothing" if not labels else repr(given))
    return labels


def _hypotheses(template: str, labels: list[str]) -> list[str]:
    if template.format(labels[0]) == template:
        raise BadRequest("hypothesis_template", "a text with {} where the label goes", repr(template))
    return [template.format(label) for label in labels]
