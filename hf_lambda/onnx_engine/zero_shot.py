"""zero-shot-classification: every label becomes a hypothesis, the model says which ones the text entails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Unprocessable, no_entailment
from ..limits import chunks
from ..log import note_truncated
from ..records import Json
from .encoder import Encoder, softmax

if TYPE_CHECKING:
    from tokenizers import Encoding

_TEMPLATE = "This example is {}."


class ZeroShotClassification:
    """Scores as transformers' `ZeroShotClassificationPipeline` gives them."""

    def __init__(self, encoder: Encoder) -> None:
        if error := no_entailment(encoder.contract.labels):
            raise error
        self._encoder = encoder

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text `{"sequence", "labels", "scores"}`, best label first.

        A pair of text and hypothesis is tokens only while it is in one of the batches.
        """
        labels = parameters["candidate_labels"]
        template = parameters.get("hypothesis_template") or _TEMPLATE
        pairs = [(text, label) for text in inputs for label in labels]
        logits: list[NDArray[Any]] = []
        cut: list[bool] = []
        for some in chunks(pairs, lambda pair: len(pair[0]) + len(template) + len(pair[1])):
            encodings = self._encodings([(text, template.format(label)) for text, label in some])
            cut += [bool(each.overflowing) for each in encodings]
            logits += self._logits(encodings)
        # A text counts once, whatever number of its hypotheses left no room for all of it.
        longest = range(0, len(pairs), len(labels))
        note_truncated(sum(any(cut[at : at + len(labels)]) for at in longest))
        size = len(labels)
        return [
            self._answer(
                text, labels, np.stack(logits[start : start + size]), bool(parameters.get("multi_label"))
            )
            for text, start in zip(inputs, range(0, len(pairs), size), strict=True)
        ]

    def _logits(self, encodings: list[Encoding]) -> list[NDArray[Any]]:
        rows: list[Json] = [None] * len(encodings)
        for index, (row,) in self._encoder.run(encodings, ["logits"]):
            rows[index] = row
        return rows

    def _encodings(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Texts are cut, hypotheses never: beside one that leaves no room a text stays whole."""
        limit = self._encoder.limit(True, None)
        try:
            return self._encoder.encode(pairs, max_length=limit, strategy="only_first")
        except Unprocessable:
            return [self._encoding(pair, limit) for pair in pairs]

    def _encoding(self, pair: tuple[str, str], limit: int | None) -> Encoding:
        try:
            return self._encoder.encode([pair], max_length=limit, strategy="only_first")[0]
        except Unprocessable:
            return self._encoder.encode([pair])[0]

    def _answer(
        self, text: str, labels: list[str], logits: NDArray[Any], multi_label: bool
    ) -> dict[str, Json]:
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
